/* Links by where they lead: what `grouped` in hyperlinks.py does, of elements as this walk gives them.

   A plain href is joined here, which takes a tenth of what Python takes; what another leads to is looked up in its
   folder's dictionary, and whatever is not found there at once, Python finds. */

enum { MAX_LINKS = 10000, MAX_DETAILS = 1000, MAX_FRAGMENT_CHARS = 500, NOWHERE = -1 }; /* as in Python */

static PyObject *read_rel; /* Python's: the tokens, and whether one is nofollow */

typedef struct {
    PyObject *place_of, *places, *urls, *places_of_urls, *in_folder, *own; /* of Python's `Hrefs` */
    slice_t folder;
    size_t root; /* where its path begins */
    buffer_t joined;
    PyObject *anchors, *rels, *nofollows, *details, *unnamed, *nameless; /* found */
} groups_t;

enum { BEGINS_NAME = 1, IN_NAME = 2, IN_QUERY = 4 };

static byte_t plain_kinds[256];

static void set_plain_kinds(void) {
    const char *each = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_~!$&()*+,;=@-";
    for (; *each; each++) plain_kinds[(byte_t)*each] = BEGINS_NAME | IN_NAME | IN_QUERY;
    plain_kinds['.'] = IN_NAME | IN_QUERY;
    plain_kinds[':'] = plain_kinds['/'] = plain_kinds['%'] = IN_QUERY;
}

/* Whether an href is a path, perhaps with a query, and written as it will stand in the URL: `_PLAIN` of urls.py. `up` is
   the length of the '../' that it begins with. */
static int is_plain(slice_t href, size_t *up) {
    const byte_t *at = href.start, *end = at + href.length;
    if (at < end && *at == '/') at++;
    else while (end - at >= 3 && !memcmp(at, "../", 3)) at += 3;
    *up = *href.start == '/' ? 0 : (size_t)(at - href.start);
    while (at < end && plain_kinds[*at] & BEGINS_NAME) {
        while (at < end && plain_kinds[*at] & IN_NAME) at++;
        if (at == end || *at != '/') break;
        at++;
    }
    if (at == end) return 1;
    if (*at++ != '?' || at == end) return 0;
    while (at < end && plain_kinds[*at] & IN_QUERY) at++;
    return at == end;
}

/* The URL of a plain href, as `join_plain` gives it. `LEFT_TO_PYTHON` where it is not plain. */
static outcome_t join_plain(groups_t *groups, slice_t href, PyObject **url) {
    size_t up, kept = groups->root;
    if (!groups->folder.start || *href.start == '?' || !is_plain(href, &up)) return LEFT_TO_PYTHON;
    if (*href.start != '/') {
        size_t last = groups->folder.length - 1; /* a slash, as the one at the root is */
        for (size_t i = 0; i < up && last > groups->root; i += 3)
            do last--;
            while (groups->folder.start[last] != '/');
        kept = last + 1;
    }
    groups->joined.length = 0;
    if (!append(&groups->joined, groups->folder.start, kept)) return out_of_memory();
    if (!append(&groups->joined, href.start + up, href.length - up)) return out_of_memory();
    *url = str_of(contents(&groups->joined));
    return *url ? DONE : FAILED;
}

static int is_html_space(byte_t byte) {
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\f' || byte == '\r';
}

/* The place that a dictionary has for a key. False where there is none, or an exception is set. */
static int known_place(PyObject *places, PyObject *key, Py_ssize_t *place) {
    PyObject *number = PyDict_GetItemWithError(places, key); /* borrowed */
    if (number) *place = PyLong_AsSsize_t(number);
    return number && !PyErr_Occurred();
}

static outcome_t set_place(PyObject *places, PyObject *key, Py_ssize_t place) {
    PyObject *number = PyLong_FromSsize_t(place);
    int failed = !number || PyDict_SetItem(places, key, number) < 0;
    Py_XDECREF(number);
    return failed ? FAILED : DONE;
}

/* The place of a URL, which may be a new one. */
static outcome_t place_of_url(groups_t *groups, PyObject *url, Py_ssize_t *place) {
    if (known_place(groups->places_of_urls, url, place)) return DONE;
    if (PyErr_Occurred()) return FAILED;
    *place = PyList_Size(groups->urls);
    TRY(set_place(groups->places_of_urls, url, *place));
    return PyList_Append(groups->urls, url) < 0 ? FAILED : DONE;
}

/* Where an href leads that is plain, or known to the folder's dictionary. `LEFT_TO_PYTHON` where it is neither. */
static outcome_t place_in_folder(groups_t *groups, PyObject *whole, Py_ssize_t *place) {
    Py_ssize_t length = 0;
    slice_t href = {(const byte_t *)PyUnicode_AsUTF8AndSize(whole, &length), 0};
    if (!href.start) return FAILED;
    const byte_t *hash_sign = memchr(href.start, '#', (size_t)length);
    href.length = hash_sign ? (size_t)(hash_sign - href.start) : (size_t)length;
    if (!href.length && groups->own == Py_None) {
        *place = NOWHERE;
        return set_place(groups->places, whole, *place);
    }
    if (!href.length || PyList_Size(groups->urls) >= MAX_LINKS) return LEFT_TO_PYTHON;
    PyObject *joined = NULL;
    outcome_t outcome = join_plain(groups, href, &joined);
    if (outcome == DONE) outcome = place_of_url(groups, joined, place);
    Py_XDECREF(joined);
    if (outcome == DONE) return set_place(groups->places, whole, *place);
    if (outcome == FAILED || is_html_space(*href.start) || is_html_space(href.start[href.length - 1])) return outcome;
    PyObject *key = hash_sign ? str_of(href) : Py_NewRef(whole);
    if (!key) return FAILED;
    PyObject *url = PyDict_GetItemWithError(groups->in_folder, key); /* borrowed */
    Py_DECREF(key);
    if (!url) return PyErr_Occurred() ? FAILED : LEFT_TO_PYTHON;
    if (url == Py_None) *place = NOWHERE;
    else if (!PyUnicode_GetLength(url)) return LEFT_TO_PYTHON; /* it depends on the page */
    else TRY(place_of_url(groups, url, place));
    return set_place(groups->places, whole, *place);
}

static outcome_t new_place_of(groups_t *groups, PyObject *whole, Py_ssize_t *place) {
    outcome_t outcome = place_in_folder(groups, whole, place);
    if (outcome != LEFT_TO_PYTHON) return outcome;
    PyObject *number = PyObject_CallFunctionObjArgs(groups->place_of, whole, NULL);
    if (number) *place = PyLong_AsSsize_t(number);
    Py_XDECREF(number);
    return PyErr_Occurred() ? FAILED : DONE;
}

/* What a rel says, both references new. */
static outcome_t said_by(PyObject *rel, PyObject **tokens, PyObject **is_nofollow) {
    int says_something = rel == Py_None ? 0 : PyObject_IsTrue(rel);
    if (says_something < 0) return FAILED;
    if (!says_something) {
        *is_nofollow = Py_NewRef(Py_False);
        return (*tokens = PyUnicode_FromString("")) ? DONE : FAILED; /* False is never freed */
    }
    PyObject *said = PyObject_CallFunctionObjArgs(read_rel, rel, NULL);
    int is_read = said && PyArg_ParseTuple(said, "UO", tokens, is_nofollow);
    if (is_read) Py_INCREF(*tokens), Py_INCREF(*is_nofollow);
    Py_XDECREF(said);
    return is_read ? DONE : FAILED;
}

/* What is told of an element that has a fragment, or is not the first of its URL. */
static outcome_t add_detail(
    groups_t *groups, Py_ssize_t position, PyObject *whole, Py_ssize_t place, PyObject *caption, int is_first) {
    Py_ssize_t length = PyUnicode_GetLength(whole), hash_sign = PyUnicode_FindChar(whole, '#', 0, length, 1);
    Py_ssize_t count = PyList_Size(groups->details);
    if ((is_first && hash_sign < 0) || count >= MAX_DETAILS) return DONE;
    if (!PyUnicode_Check(caption) || !PyUnicode_GetLength(caption))
        TRY(add(groups->unnamed, Py_BuildValue("(nO)", count, is_first ? Py_True : Py_False)));
    Py_ssize_t start = hash_sign + 1, rest = length - start;
    Py_ssize_t end = start + (rest < MAX_FRAGMENT_CHARS ? rest : MAX_FRAGMENT_CHARS);
    PyObject *fragment = hash_sign < 0 ? Py_NewRef(Py_None) : PyUnicode_Substring(whole, start, end);
    PyObject *numbers[] = {PyLong_FromSsize_t(place), PyLong_FromSsize_t(position)}, *row = NULL;
    if (numbers[0] && numbers[1] && fragment) row = PyTuple_Pack(4, numbers[0], numbers[1], caption, fragment);
    Py_XDECREF(numbers[0]);
    Py_XDECREF(numbers[1]);
    Py_XDECREF(fragment);
    return add(groups->details, row);
}

static outcome_t add_first(groups_t *groups, PyObject *rel, PyObject *caption, Py_ssize_t place) {
    PyObject *tokens, *is_nofollow;
    int has_text = PyUnicode_Check(caption) && PyUnicode_GetLength(caption);
    TRY(add(groups->anchors, has_text ? Py_NewRef(caption) : PyUnicode_FromString("")));
    TRY(said_by(rel, &tokens, &is_nofollow));
    outcome_t outcome = add(groups->rels, tokens);
    if (add(groups->nofollows, is_nofollow) != DONE) outcome = FAILED;
    if (outcome != DONE || has_text) return outcome;
    PyObject *key = PyLong_FromSsize_t(place), *captions = Py_BuildValue("[O]", caption);
    int failed = !key || !captions || PyDict_SetItem(groups->nameless, key, captions) < 0;
    Py_XDECREF(key);
    Py_XDECREF(captions);
    return failed ? FAILED : DONE;
}

/* An element that leads where an earlier one does. */
static outcome_t add_to(groups_t *groups, PyObject *rel, PyObject *caption, Py_ssize_t place) {
    PyObject *tokens, *is_nofollow;
    if (PyList_GetItem(groups->nofollows, place) == Py_True) {
        TRY(said_by(rel, &tokens, &is_nofollow));
        Py_DECREF(tokens);
        if (PyList_SetItem(groups->nofollows, place, is_nofollow) < 0) return FAILED; /* which it gives away */
    }
    PyObject *key = PyLong_FromSsize_t(place);
    PyObject *captions = key ? PyDict_GetItemWithError(groups->nameless, key) : NULL; /* borrowed */
    Py_XDECREF(key);
    if (captions && PyList_Append(captions, caption) < 0) return FAILED;
    return PyErr_Occurred() ? FAILED : DONE;
}

static outcome_t wrong_element(void) {
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "an element is an href, a rel and a caption");
    return FAILED;
}

static outcome_t group_element(groups_t *groups, Py_ssize_t position, PyObject *element) {
    Py_ssize_t place = NOWHERE;
    if (!PyTuple_Check(element) || PyTuple_Size(element) != 3) return wrong_element();
    PyObject *whole = PyTuple_GetItem(element, 0), *rel = PyTuple_GetItem(element, 1);
    PyObject *caption = PyTuple_GetItem(element, 2); /* borrowed, as they all are */
    if (!PyUnicode_Check(whole)) return wrong_element();
    int is_new = !known_place(groups->places, whole, &place);
    if (PyErr_Occurred()) return FAILED;
    if (is_new) TRY(new_place_of(groups, whole, &place));
    if (place == NOWHERE) return DONE;
    int is_first = is_new && place == PyList_Size(groups->anchors);
    if (is_new) TRY(add_detail(groups, position, whole, place, caption, is_first));
    return is_first ? add_first(groups, rel, caption, place) : add_to(groups, rel, caption, place);
}

/* The folder whose hrefs are joined here; none where its URL has no path. */
static int set_folder(groups_t *groups, PyObject *folder) {
    Py_ssize_t length;
    const byte_t *start = (const byte_t *)PyUnicode_AsUTF8AndSize(folder, &length);
    if (!start) return 0;
    const size_t path_from = strlen("https://"); /* of 'http://', too: no host is empty */
    if ((size_t)length <= path_from || start[length - 1] != '/') return 1;
    const byte_t *root = memchr(start + path_from, '/', (size_t)length - path_from);
    groups->folder = (slice_t){start, (size_t)length};
    groups->root = (size_t)(root - start);
    return 1;
}

static PyObject *group(PyObject *module, PyObject *arguments) {
    (void)module;
    PyObject *elements, *folder;
    groups_t found = {0};
    if (!PyArg_ParseTuple(
            arguments, "O!OO!O!O!UO!O", &PyList_Type, &elements, &found.place_of, &PyDict_Type, &found.places,
            &PyList_Type, &found.urls, &PyDict_Type, &found.places_of_urls, &folder, &PyDict_Type, &found.in_folder,
            &found.own))
        return NULL;
    if (!set_folder(&found, folder)) return NULL;
    PyObject *result = Py_BuildValue(
        "(NNNNNN)", PyList_New(0), PyList_New(0), PyList_New(0), PyList_New(0), PyList_New(0), PyDict_New());
    if (!result) return NULL;
    found.anchors = PyTuple_GetItem(result, 0); /* borrowed, as those that follow */
    found.rels = PyTuple_GetItem(result, 1);
    found.nofollows = PyTuple_GetItem(result, 2);
    found.details = PyTuple_GetItem(result, 3);
    found.unnamed = PyTuple_GetItem(result, 4);
    found.nameless = PyTuple_GetItem(result, 5);
    for (Py_ssize_t i = 0; i < PyList_Size(elements); i++) {
        PyObject *element = PyList_GetItem(elements, i); /* borrowed */
        if (element == Py_None || group_element(&found, i, element) == DONE) continue;
        Py_CLEAR(result);
        break;
    }
    free(found.joined.start);
    return result;
}
