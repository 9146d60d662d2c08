/* The walk over a document's tree, in C: what `walk` in walk.py returns, several times as fast.

   It reads the tree that selectolax has parsed, and changes nothing in it. It never recurses. What is rare, or costs more
   than a document is worth, it leaves to the walk in Python, by returning None: documents within the document, and those
   that go beyond a bound. So there is one place where each rule of these is written. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include "_walk_lexbor.h"
#include "_walk_text.h"
#include "_walk_marks.h"

enum {
    MAX_BLOCKS = 100000, /* these are as in Python */
    MAX_LABEL_CHARS = 1000,
    MAX_LABEL_NODES = 500,
    MAX_HEADINGS = 1000,
    MAX_IMAGES = 1000,
    MAX_WALKS = 10,
    MAX_LINK_ELEMENTS = 50000, /* beyond these, the document is left to Python */
    MAX_LABEL_STEPS = 1000000, /* to read all of them: nodes, and texts that are longer than most */
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

typedef struct {
    PyObject *lists[LISTS], *base_href;
    buffer_t text, label, lines;
    marks_t marks;
    int text_kinds, has_rows, has_preformatted, has_formulas, has_early_annotation;
    int bases, refreshes, headings, images;
    size_t links, label_steps;
} walk_t;

static PyObject *str_of(slice_t text) { return PyUnicode_DecodeUTF8((const char *)text.start, (Py_ssize_t)text.length, "replace"); }

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

static PyObject *attributes_of(node_t *element) {
    PyObject *found = PyDict_New();
    for (attribute_t *each = first_attribute(element); found && each; each = next_attribute(each)) {
        PyObject *name = str_of(name_of(each)), *value = str_or_none(value_of(each));
        if (!name || !value || PyDict_SetItem(found, name, value) < 0) Py_CLEAR(found);
        Py_XDECREF(name);
        Py_XDECREF(value);
    }
    return found;
}

/* Append what a text node says. Lexbor's copy is freed with the document: to free it at once takes a tenth of the walk. */
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

static outcome_t collapsed(walk_t *walk, slice_t text, PyObject **found) {
    if (text.start && kinds_of(text.start, text.length) & LEADS_INVISIBLE) {
        PyObject *whole = str_of(text);
        *found = whole ? PyObject_CallFunctionObjArgs(collapse, whole, NULL) : NULL;
        Py_XDECREF(whole);
    } else {
        walk->lines.length = 0;
        if (text.start && !append_collapsed(&walk->lines, text.start, text.length, MAX_LABEL_CHARS)) return out_of_memory();
        *found = PyUnicode_DecodeUTF8((const char *)walk->lines.start, (Py_ssize_t)walk->lines.length, "replace");
    }
    return *found ? DONE : FAILED;
}

/* The first text that is not empty among these attributes. */
static outcome_t first_of(walk_t *walk, const slice_t *texts, int count, PyObject **found) {
    for (int i = 0; i < count; i++) {
        TRY(collapsed(walk, texts[i], found));
        if (PyUnicode_GetLength(*found) || i == count - 1) break;
        Py_CLEAR(*found);
    }
    return DONE;
}

/* The text within an element on one line, as `text_of`; or, where it is asked for the images, as `image_alt`. Only the
   first `MAX_LABEL_NODES` count, marks among them. The walk has come to the element, and the marks within it follow from
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
                    TRY(collapsed(walk, value_of(attribute_named(node, "alt")), found));
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
    return collapsed(walk, contents(&walk->label), found);
}

static outcome_t add_heading(walk_t *walk, node_t *element) {
    PyObject *label = NULL;
    if (walk->headings++ >= MAX_HEADINGS) return DONE;
    TRY(read_label(walk, element, 0, &label));
    if (!PyUnicode_GetLength(label)) {
        Py_CLEAR(label);
        TRY(read_label(walk, element, 1, &label));
    }
    if (PyUnicode_GetLength(label)) return add(walk->lists[HEADINGS], Py_BuildValue("(nN)", (Py_ssize_t)tag_of(element), label));
    Py_DECREF(label);
    return DONE;
}

/* The text of an element that links; where it is empty, its name in a tuple. */
static outcome_t caption_of(walk_t *walk, node_t *element, role_t role, const slice_t said[3], PyObject **caption) {
    PyObject *name = NULL;
    if (role & is_anchor) TRY(read_label(walk, element, 0, caption));
    else TRY(collapsed(walk, said[0], caption));
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

/* An element that may link, as `link_element` does. */
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
    PyObject *caption = NULL;
    TRY(caption_of(walk, element, role, said, &caption));
    PyObject *written_href = str_of(target), *written_rel = str_or_none(value_of(rel));
    PyObject *link = written_href && written_rel ? PyTuple_Pack(3, written_href, written_rel, caption) : NULL;
    Py_XDECREF(written_href);
    Py_XDECREF(written_rel);
    Py_DECREF(caption);
    return add(walk->lists[LINKS], link);
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
    if (!pragma.start || !equals_ignoring_case(stripped(pragma), "refresh") || walk->refreshes++ >= MAX_WALKS) return DONE;
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

static int holds_document(node_t *element, role_t role) {
    if (role & is_template) return value_of(attribute_named(element, "shadowrootmode")).length != 0;
    return role & is_inline_frame && value_of(attribute_named(element, "srcdoc")).length;
}

/* Walk over the tree below `root`. */
static outcome_t walk_over(walk_t *walk, node_t *root) {
    node_t *hidden = NULL, *node = root, *behind;
    while (node) {
        int type = node_type(node);
        if (type == TEXT && !hidden) TRY(append_text(&walk->text, node, &walk->text_kinds));
        if (type == ELEMENT) {
            role_t role = role_of(node);
            if (role) {
                mark_t mark = mark_before(&walk->marks, node, role);
                if (walk->marks.blocks > MAX_BLOCKS || holds_document(node, role)) return LEFT_TO_PYTHON;
                if (!hidden && !append(&walk->text, written[mark].start, written[mark].length)) return out_of_memory();
                walk->has_rows |= (role & is_table) != 0;
                walk->has_preformatted |= (role & is_preformatted) != 0;
                walk->has_formulas |= (role & is_formula) != 0;
                TRY(collect(walk, node, role));
            }
            if (!hidden && hides(walk, node, role)) hidden = node;
        }
        if ((behind = first_child(node))) {
            node = behind;
            continue;
        }
        for (;;) {
            if (node == hidden) hidden = NULL;
            const slice_t *mark = &written[mark_after(role_of(node))];
            if (!hidden && mark->length && !append(&walk->text, mark->start, mark->length)) return out_of_memory();
            if (node == root || (behind = next(node))) break;
            node = parent(node);
        }
        node = node == root ? NULL : behind;
    }
    return walk->has_early_annotation && walk->has_formulas ? LEFT_TO_PYTHON : DONE;
}

static PyObject *text_of(walk_t *walk) {
    if (walk->text_kinds) {
        PyObject *marked = str_of(contents(&walk->text));
        PyObject *flags[3] = {walk->has_rows ? Py_True : Py_False, walk->has_preformatted ? Py_True : Py_False, walk->has_formulas ? Py_True : Py_False};
        PyObject *text = marked ? PyObject_CallFunctionObjArgs(lines_of, marked, flags[0], flags[1], flags[2], NULL) : NULL;
        Py_XDECREF(marked);
        return text;
    }
    walk->lines.length = 0;
    byte_t *start = walk->text.start;
    if (start && !append_lines(&walk->lines, start, start + walk->text.length, walk->has_rows)) return PyErr_NoMemory();
    return str_of(contents(&walk->lines));
}

static PyObject *result_of(walk_t *walk) {
    PyObject *text = text_of(walk), *result = text ? PyTuple_New(LISTS + 2) : NULL;
    if (!result) {
        Py_XDECREF(text);
        return NULL;
    }
    int failed = PyTuple_SetItem(result, 0, text);
    for (int i = 0; i < LISTS; i++) failed |= PyTuple_SetItem(result, i + 1, Py_NewRef(walk->lists[i]));
    failed |= PyTuple_SetItem(result, LISTS + 1, Py_NewRef(walk->base_href ? walk->base_href : Py_None));
    if (failed) Py_CLEAR(result);
    return result;
}

static int address_of(PyObject *node, uintptr_t *address) {
    PyObject *number = PyObject_GetAttrString(node, "mem_id");
    *address = number ? (uintptr_t)PyLong_AsUnsignedLongLong(number) : 0;
    Py_XDECREF(number);
    return !PyErr_Occurred();
}

static PyObject *walk_root(PyObject *module, PyObject *root) {
    (void)module;
    uintptr_t address;
    if (!address_of(root, &address)) return NULL;
    if (!address || !first_child) {
        PyErr_SetString(PyExc_ValueError, "no root, or load() was not called");
        return NULL;
    }
    walk_t walk = {.marks = NO_MARKS};
    outcome_t outcome = DONE;
    for (int i = 0; i < LISTS && outcome == DONE; i++)
        if (!(walk.lists[i] = PyList_New(0))) outcome = FAILED;
    if (outcome == DONE) outcome = walk_over(&walk, (node_t *)address);
    PyObject *result = outcome == DONE ? result_of(&walk) : outcome == LEFT_TO_PYTHON ? Py_NewRef(Py_None) : NULL;
    for (int i = 0; i < LISTS; i++) Py_XDECREF(walk.lists[i]);
    Py_XDECREF(walk.base_href);
    free(walk.text.start);
    free(walk.label.start);
    free(walk.lines.start);
    return result;
}

/* What stands around a node, for a comparison with what selectolax says before the first walk. */
static PyObject *neighbours(PyObject *module, PyObject *node) {
    (void)module;
    uintptr_t address;
    if (!address_of(node, &address)) return NULL;
    if (!is_mapped(address) || !is_mapped(address + 256)) return PyTuple_New(0);
    node_t *at = (node_t *)address;
    return Py_BuildValue("(iKKKKKK)", node_type(at), (unsigned long long)tag_of(at), (unsigned long long)(uintptr_t)parent(at), (unsigned long long)(uintptr_t)previous(at), (unsigned long long)(uintptr_t)next(at), (unsigned long long)(uintptr_t)first_child(at), (unsigned long long)(uintptr_t)last_child(at));
}

static int set_roles(PyObject *tags_by_name) {
    memset(roles, 0, sizeof roles);
    for (int i = 0; i < ROLE_COUNT; i++) {
        PyObject *tags = PyDict_GetItemString(tags_by_name, role_names[i]); /* borrowed */
        if (!tags || !PyList_Check(tags)) {
            PyErr_Format(PyExc_ValueError, "no list of the tags with the role %s", role_names[i]);
            return 0;
        }
        for (Py_ssize_t j = 0; j < PyList_Size(tags); j++) {
            unsigned long tag = PyLong_AsUnsignedLong(PyList_GetItem(tags, j));
            if (PyErr_Occurred()) return 0;
            if (tag < TAGS) roles[tag] |= (role_t)1 << i;
        }
    }
    return 1;
}

static PyObject *load(PyObject *module, PyObject *arguments) {
    (void)module;
    const char *path;
    PyObject *tags_by_name, *own_lines_of, *own_collapse;
    if (!PyArg_ParseTuple(arguments, "sO!OO", &path, &PyDict_Type, &tags_by_name, &own_lines_of, &own_collapse)) return NULL;
    const char *missing = load_lexbor(path);
    if (missing) return PyErr_Format(PyExc_ImportError, "selectolax has no %s", missing);
    if (!set_roles(tags_by_name)) return NULL;
    Py_XDECREF(lines_of);
    Py_XDECREF(collapse);
    lines_of = Py_NewRef(own_lines_of);
    collapse = Py_NewRef(own_collapse);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"load", load, METH_VARARGS, NULL},
    {"neighbours", neighbours, METH_O, NULL},
    {"walk", walk_root, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_walk", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__walk(void) { return PyModule_Create(&definition); }
