/* What is collected of each element, as the functions of walk.py do. */

enum {
    MAX_HEADINGS = 1000, /* these are as in Python */
    MAX_IMAGES = 1000,
    MAX_WALKS = 10,
    MAX_LINK_ELEMENTS = 50000, /* beyond these, the document is left to Python */
};

static outcome_t add_heading(walk_t *walk, node_t *element) {
    PyObject *label = NULL;
    if (walk->headings++ >= MAX_HEADINGS) return DONE;
    TRY(read_label(walk, element, 0, &label));
    if (!PyUnicode_GetLength(label)) {
        Py_CLEAR(label);
        TRY(read_label(walk, element, 1, &label));
    }
    if (PyUnicode_GetLength(label))
        return add(walk->lists[HEADINGS], Py_BuildValue("(nN)", (Py_ssize_t)tag_of(element), label));
    Py_DECREF(label);
    return DONE;
}

/* The text of an element that links; where it is empty, its name in a tuple. */
static outcome_t caption_of(walk_t *walk, node_t *element, role_t role, const slice_t said[3], PyObject **caption) {
    PyObject *name = NULL;
    if (role & is_anchor) TRY(read_label(walk, element, 0, caption));
    else TRY(first_of(walk, said, 1, caption));
    if (PyUnicode_GetLength(*caption)) return DONE;
    Py_CLEAR(*caption);
    TRY(first_of(walk, said + 1, 2, &name));
    if (!PyUnicode_GetLength(name)) {
        Py_CLEAR(name);
        TRY(read_label(walk, element, 1, &name));
    }
    *caption = PyTuple_Pack(1, name);
    Py_DECREF(name);
    return *caption ? DONE : FAILED;
}

/* Whether a rel may hold nofollow: Python drops characters that nobody sees. */
static int may_be_nofollow(slice_t rel) {
    for (size_t i = 0; i < rel.length; i++)
        if (rel.start[i] >= 0x80) return 1;
    return contains_ignoring_case(rel, "nofollow");
}

static const uint64_t FACTOR = 0x9e3779b97f4a7c15; /* of Fibonacci hashing: the highest bits are the best */

/* Where an href is remembered, if it is. */
static slice_t *settled_place(walk_t *walk, slice_t href) {
    uint64_t hash = href.length, last = 0;
    for (size_t i = 0; i + sizeof last < href.length; i += sizeof last) {
        uint64_t bytes;
        memcpy(&bytes, href.start + i, sizeof bytes);
        hash = (hash ^ bytes) * FACTOR;
    }
    size_t rest = href.length < sizeof last ? href.length : sizeof last;
    if (rest) memcpy(&last, href.start + href.length - rest, rest);
    return &walk->settled_hrefs[(hash ^ last) * FACTOR >> 56];
}

static int is_same(slice_t one, slice_t other) {
    return one.start && one.length == other.length && !memcmp(one.start, other.start, one.length);
}

/* What `link_element` gives of an element that links, its caption read. */
static outcome_t make_link(
    walk_t *walk, node_t *element, role_t role, const slice_t said[3], slice_t href, slice_t rel, slice_t *settled) {
    PyObject *caption = NULL, *link = NULL;
    TRY(caption_of(walk, element, role, said, &caption));
    PyObject *written_href = str_of(href), *written_rel = str_or_none(rel);
    if (written_href && written_rel) link = PyTuple_Pack(3, written_href, written_rel, caption);
    if (PyUnicode_Check(caption) && !may_be_nofollow(rel)) *settled = href;
    Py_XDECREF(written_href);
    Py_XDECREF(written_rel);
    Py_DECREF(caption);
    return add(walk->lists[LINKS], link);
}

/* An element that may link, as `link_element` does; None, too, where it adds nothing: an element before it has the same
   href, a text, and no nofollow. */
static outcome_t add_link(walk_t *walk, node_t *element, role_t role) {
    slice_t said[3] = {{NULL, 0}, {NULL, 0}, {NULL, 0}}; /* alt, aria-label, title */
    attribute_t *href = NULL, *of_drawing = NULL, *rel = NULL;
    if (walk->links++ >= MAX_LINK_ELEMENTS) return LEFT_TO_PYTHON;
    for (attribute_t *each = first_attribute(element); each; each = next_attribute(each)) {
        slice_t name = name_of(each);
        if (equals(name, role & is_frame ? "src" : "href")) href = each;
        else if (equals(name, "xlink:href")) of_drawing = each;
        else if (equals(name, "rel")) rel = each;
        else if (equals(name, "alt")) said[0] = value_of(each);
        else if (equals(name, "aria-label")) said[1] = value_of(each);
        else if (equals(name, "title")) said[2] = value_of(each);
    }
    slice_t target = value_of(href);
    if (role & is_frame ? !target.length : !href && !(target = value_of(of_drawing)).start)
        return add(walk->lists[LINKS], Py_NewRef(Py_None));
    slice_t *settled = settled_place(walk, target);
    if (is_same(*settled, target)) return add(walk->lists[LINKS], Py_NewRef(Py_None));
    return make_link(walk, element, role, said, target, value_of(rel), settled);
}

static outcome_t add_script(walk_t *walk, node_t *element) {
    TRY(add(walk->lists[SCRIPTS], attributes_of(element)));
    slice_t type = value_of(attribute_named(element, "type"));
    if (!contains_ignoring_case(type, "ld+json")) return DONE;
    int kinds = 0;
    walk->label.length = 0;
    for (node_t *child = first_child(element); child; child = next(child)) {
        if (node_type(child) != TEXT) return LEFT_TO_PYTHON; /* in a drawing */
        TRY(append_text(&walk->label, child, &kinds));
    }
    return add(walk->lists[SCRIPTS_OF_TYPE], Py_BuildValue("(NN)", str_of(type), str_of(contents(&walk->label))));
}

/* The tag's number; of a `<source>`, that of what it stands in. */
static outcome_t add_medium(walk_t *walk, node_t *element, role_t role) {
    uintptr_t tag = tag_of(element);
    if (role & is_source) tag = hides(walk, element, role) ? 0 : tag_of(parent(element));
    PyObject *attributes = attributes_of(element);
    if (!attributes) return FAILED;
    return add(walk->lists[MEDIA], Py_BuildValue("(KN)", (unsigned long long)tag, attributes));
}

/* In which of these an element stands; of several, the innermost. What is hidden stands in nothing: it is cut out. */
static role_t nearest(walk_t *walk, node_t *element, role_t wanted) {
    while (node_type(element) == ELEMENT && !hides(walk, element, role_of(element))) {
        element = parent(element);
        if (!element || role_of(element) & wanted) return element ? role_of(element) & wanted : 0;
    }
    return 0;
}

static outcome_t meet_base(walk_t *walk, node_t *element) {
    attribute_t *href = attribute_named(element, "href");
    if (walk->base_href || !href || walk->bases++ >= MAX_WALKS) return DONE;
    if (nearest(walk, element, is_drawing | is_html_again) & is_drawing) return DONE;
    return (walk->base_href = str_or_none(value_of(href))) ? DONE : FAILED;
}

static outcome_t add_meta(walk_t *walk, node_t *element) {
    TRY(add(walk->lists[METAS], attributes_of(element)));
    slice_t pragma = value_of(attribute_named(element, "http-equiv"));
    if (!pragma.start || !equals_ignoring_case(stripped(pragma), "refresh")) return DONE;
    if (walk->refreshes++ >= MAX_WALKS) return DONE;
    slice_t content = value_of(attribute_named(element, "content"));
    PyObject *is_for_scriptless = nearest(walk, element, is_noscript) ? Py_True : Py_False;
    return add(walk->lists[REFRESHES], Py_BuildValue("(NO)", str_of(content), is_for_scriptless));
}

static outcome_t collect(walk_t *walk, node_t *element, role_t role) {
    if (role & (is_anchor | is_area | is_frame)) return add_link(walk, element, role);
    if (role & is_heading) return add_heading(walk, element);
    if (role & is_relation) return add(walk->lists[RELATIONS], attributes_of(element));
    if (role & is_meta) return add_meta(walk, element);
    if (role & is_script) return add_script(walk, element);
    if (role & is_image) return walk->images++ < MAX_IMAGES ? add(walk->lists[IMAGES], attributes_of(element)) : DONE;
    if (role & is_medium) return add_medium(walk, element, role);
    if (role & is_time) return add(walk->lists[TIMES], attributes_of(element));
    return role & is_base ? meet_base(walk, element) : DONE;
}
