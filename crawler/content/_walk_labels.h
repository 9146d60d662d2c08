/* What the walk has found so far, and the labels of links and headings. */

enum {
    MAX_LABEL_CHARS = 1000, /* as in Python */
    MAX_LABEL_NODES = 500,
    MAX_LABEL_STEPS = 1000000, /* to read all labels: nodes, and texts that are long; Python takes over then */
    BYTES_A_STEP = 64,
};

typedef enum { DONE, LEFT_TO_PYTHON, FAILED } outcome_t; /* FAILED: an exception is set */

#define TRY(outcome) \
    do { \
        outcome_t outcome_ = (outcome); \
        if (outcome_ != DONE) return outcome_; \
    } while (0)

static PyObject *lines_of, *collapse; /* Python's, for what `kinds_of` finds */

/* In the order in which they are returned. */
enum { LINKS, RELATIONS, METAS, SCRIPTS, SCRIPTS_OF_TYPE, IMAGES, MEDIA, TIMES, HEADINGS, REFRESHES, LISTS };

/* So many hrefs are remembered of which another one adds nothing; of two that have one place, the later. */
enum { SETTLED = 256 };

typedef struct {
    PyObject *lists[LISTS], *base_href;
    slice_t settled_hrefs[SETTLED];
    buffer_t text, label, lines;
    marks_t marks;
    int text_kinds, has_rows, has_preformatted, has_formulas, has_early_annotation;
    int bases, refreshes, headings, images;
    size_t links, label_steps;
} walk_t;

static PyObject *str_of(slice_t text) {
    return PyUnicode_DecodeUTF8((const char *)text.start, (Py_ssize_t)text.length, "replace");
}

static PyObject *str_or_none(slice_t text) { return text.start ? str_of(text) : Py_NewRef(Py_None); }

static slice_t contents(const buffer_t *buffer) { return (slice_t){buffer->start, buffer->length}; }

static outcome_t out_of_memory(void) {
    PyErr_NoMemory();
    return FAILED;
}

/* Append `item`, which is given away, to a list; NULL where it could not be made. */
static outcome_t add(PyObject *list, PyObject *item) {
    int failed = !item || PyList_Append(list, item) < 0;
    Py_XDECREF(item);
    return failed ? FAILED : DONE;
}

enum { NAMES = 64, MAX_NAME_BYTES = 32 };

/* Names of attributes that were met, each at the place that its bytes give it: there are few, each comes many times. */
static PyObject *met_names[NAMES];

static PyObject *str_of_name(slice_t name) {
    if (!name.start || !name.length || name.length > MAX_NAME_BYTES) return str_of(name);
    const byte_t *at = name.start; /* the factors set those apart that are met most */
    size_t place = name.length * 5 + at[0] * 5 + at[name.length / 2] * 7 + at[name.length - 1];
    PyObject **met = &met_names[place % NAMES];
    Py_ssize_t length = 0;
    const char *known = *met ? PyUnicode_AsUTF8AndSize(*met, &length) : NULL;
    if (known && (size_t)length == name.length && !memcmp(known, at, name.length)) return Py_NewRef(*met);
    if (*met && !known) PyErr_Clear();
    PyObject *made = str_of(name);
    if (!made) return NULL;
    PyUnicode_InternInPlace(&made); /* Python then finds it without a comparison */
    Py_XDECREF(*met);
    *met = Py_NewRef(made);
    return made;
}

static PyObject *attributes_of(node_t *element) {
    PyObject *found = PyDict_New();
    for (attribute_t *each = first_attribute(element); found && each; each = next_attribute(each)) {
        PyObject *name = str_of_name(name_of(each)), *value = str_or_none(value_of(each));
        if (!name || !value || PyDict_SetItem(found, name, value) < 0) Py_CLEAR(found);
        Py_XDECREF(name);
        Py_XDECREF(value);
    }
    return found;
}

/* Append what a text node says. Lexbor's copy goes with the document: to free it at once takes a tenth of the walk. */
static outcome_t append_text(buffer_t *buffer, node_t *node, int *kinds) {
    size_t length = 0;
    const byte_t *text = copied_text(node, &length);
    if (!text || !append(buffer, text, length)) return out_of_memory();
    *kinds |= kinds_of(text, length);
    return DONE;
}

static int hides(walk_t *walk, node_t *element, role_t role) {
    int is_annotation = is_annotation_of_formula(element, role);
    if (is_annotation && !walk->has_formulas) walk->has_early_annotation = 1;
    return is_hidden(element, role, is_annotation && walk->has_formulas);
}

static outcome_t collapsed(walk_t *walk, slice_t text, int kinds, PyObject **found) {
    if (kinds & LEADS_INVISIBLE) {
        PyObject *whole = str_of(text);
        *found = whole ? PyObject_CallFunctionObjArgs(collapse, whole, NULL) : NULL;
        Py_XDECREF(whole);
    } else {
        walk->lines.length = 0;
        if (text.start && !append_collapsed(&walk->lines, text.start, text.length, MAX_LABEL_CHARS))
            return out_of_memory();
        *found = str_of(contents(&walk->lines));
    }
    return *found ? DONE : FAILED;
}

/* The first text that is not empty among these attributes. */
static outcome_t first_of(walk_t *walk, const slice_t *texts, int count, PyObject **found) {
    for (int i = 0; i < count; i++) {
        TRY(collapsed(walk, texts[i], kinds_of(texts[i].start, texts[i].length), found));
        if (PyUnicode_GetLength(*found) || i == count - 1) break;
        Py_CLEAR(*found);
    }
    return DONE;
}

/* The text within an element on one line, as `text_of`; or, where it is asked for the images, as `image_alt`. Only the
   first `MAX_LABEL_NODES` count, marks among them. The walk has come to the element: the marks within it follow from
   those before. */
static outcome_t read_label(walk_t *walk, node_t *element, int of_images, PyObject **found) {
    marks_t marks = walk->marks;
    node_t *hidden = NULL, *node = first_child(element), *behind;
    int left = MAX_LABEL_NODES - 1; /* the element itself is one */
    int kinds = 0;
    walk->label.length = 0;
    while (node) {
        role_t role = role_of(node);
        mark_t mark = role ? mark_before(&marks, node, role) : NO_MARK;
        if (++walk->label_steps > MAX_LABEL_STEPS) return LEFT_TO_PYTHON;
        if (!hidden) {
            if (mark != NO_MARK) {
                if (!left--) break;
                if (!append_byte(&walk->label, ' ')) return out_of_memory();
            }
            if (node_type(node) == ELEMENT && hides(walk, node, role)) {
                hidden = node;
            } else {
                if (!left--) break;
                size_t before = walk->label.length;
                if (node_type(node) == TEXT) TRY(append_text(&walk->label, node, &kinds));
                walk->label_steps += (walk->label.length - before) / BYTES_A_STEP;
                if (of_images && role & is_image) {
                    TRY(first_of(walk, (slice_t[]){value_of(attribute_named(node, "alt"))}, 1, found));
                    if (PyUnicode_GetLength(*found)) return DONE;
                    Py_CLEAR(*found);
                }
            }
        }
        if ((behind = first_child(node))) {
            node = behind;
            continue;
        }
        for (;;) {
            if (node == hidden) hidden = NULL;
            if (!hidden && mark_after(role_of(node)) != NO_MARK) {
                if (!left--) goto full;
                if (!append_byte(&walk->label, ' ')) return out_of_memory();
            }
            if ((behind = next(node))) break;
            node = parent(node);
            if (node == element) break;
        }
        node = behind;
    }
full:
    if (of_images) walk->label.length = 0; /* no image says anything */
    return collapsed(walk, contents(&walk->label), kinds, found);
}
