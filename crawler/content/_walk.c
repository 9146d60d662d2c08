/* The walk over a document's tree, in C: what `walk` in walk.py returns, several times as fast.

   It reads the tree that selectolax has parsed, and changes nothing in it. It never recurses. What is rare, or costs
   more than a document is worth, it leaves to the walk in Python, by returning None: documents within the document, and
   those that go beyond a bound. So there is one place where each rule of these is written. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include "_walk_lexbor.h"
#include "_walk_text.h"
#include "_walk_marks.h"
#include "_walk_labels.h"
#include "_walk_elements.h"
#include "_walk_links.h"

enum { MAX_BLOCKS = 100000 }; /* as in Python */

static int holds_document(node_t *element, role_t role) {
    if (role & is_template) return value_of(attribute_named(element, "shadowrootmode")).length != 0;
    return role & is_inline_frame && value_of(attribute_named(element, "srcdoc")).length;
}

/* Come to an element that has a role. */
static outcome_t meet_element(walk_t *walk, node_t *element, role_t role, int is_shown) {
    mark_t mark = mark_before(&walk->marks, element, role);
    if (walk->marks.blocks > MAX_BLOCKS || holds_document(element, role)) return LEFT_TO_PYTHON;
    if (is_shown && !append_mark(&walk->text, mark)) return out_of_memory();
    walk->has_rows |= (role & is_table) != 0;
    walk->has_preformatted |= (role & is_preformatted) != 0;
    walk->has_formulas |= (role & is_formula) != 0;
    return collect(walk, element, role);
}

/* Walk over the tree below `root`. */
static outcome_t walk_over(walk_t *walk, node_t *root) {
    node_t *hidden = NULL, *node = root, *behind;
    while (node) {
        int type = node_type(node);
        if (type == TEXT && !hidden) TRY(append_text(&walk->text, node, &walk->text_kinds));
        if (type == ELEMENT) {
            role_t role = role_of(node);
            if (role) TRY(meet_element(walk, node, role, !hidden));
            if (!hidden && hides(walk, node, role)) hidden = node;
        }
        if ((behind = first_child(node))) {
            node = behind;
            continue;
        }
        for (;;) {
            if (node == hidden) hidden = NULL;
            if (!hidden && !append_mark(&walk->text, mark_after(role_of(node)))) return out_of_memory();
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
        PyObject *has_rows = walk->has_rows ? Py_True : Py_False;
        PyObject *has_preformatted = walk->has_preformatted ? Py_True : Py_False;
        PyObject *has_formulas = walk->has_formulas ? Py_True : Py_False;
        PyObject *text = NULL;
        if (marked)
            text = PyObject_CallFunctionObjArgs(lines_of, marked, has_rows, has_preformatted, has_formulas, NULL);
        Py_XDECREF(marked);
        return text;
    }
    walk->lines.length = 0;
    byte_t *start = walk->text.start;
    if (start && !append_lines(&walk->lines, start, start + walk->text.length, walk->has_rows)) return PyErr_NoMemory();
    return PyBytes_FromStringAndSize((const char *)walk->lines.start, (Py_ssize_t)walk->lines.length);
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
#define NUMBER_OF(value) ((unsigned long long)(uintptr_t)(value))
    return Py_BuildValue(
        "(iKKKKKK)", node_type(at), NUMBER_OF(tag_of(at)), NUMBER_OF(parent(at)), NUMBER_OF(previous(at)),
        NUMBER_OF(next(at)), NUMBER_OF(first_child(at)), NUMBER_OF(last_child(at)));
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
    PyObject *tags_by_name, *own_lines_of, *own_collapse, *own_read_rel;
    if (!PyArg_ParseTuple(
            arguments, "sO!OOO", &path, &PyDict_Type, &tags_by_name, &own_lines_of, &own_collapse, &own_read_rel))
        return NULL;
    const char *missing = load_lexbor(path);
    if (missing) return PyErr_Format(PyExc_ImportError, "selectolax has no %s", missing);
    if (!set_roles(tags_by_name)) return NULL;
    set_plain_kinds();
    Py_XDECREF(lines_of);
    Py_XDECREF(collapse);
    Py_XDECREF(read_rel);
    lines_of = Py_NewRef(own_lines_of);
    collapse = Py_NewRef(own_collapse);
    read_rel = Py_NewRef(own_read_rel);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"load", load, METH_VARARGS, NULL},
    {"neighbours", neighbours, METH_O, NULL},
    {"walk", walk_root, METH_O, NULL},
    {"group", group, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_walk", NULL, -1, methods, NULL, NULL, NULL, NULL};

/* What the functions take and return: another number whenever that changes, so that an older build is not used. */
enum { INTERFACE = 5 };

PyMODINIT_FUNC PyInit__walk(void) {
    PyObject *module = PyModule_Create(&definition);
    if (module && PyModule_AddIntConstant(module, "INTERFACE", INTERFACE) < 0) Py_CLEAR(module);
    return module;
}
