/* What an element means for the text: the marks that `visible_text` puts about it, found without changing the tree. */

typedef uint64_t role_t;

/* What an element may be. Which tags are, Python says (`set_roles`), by these names. */
#define ROLES(R) \
    R(block) R(parted) R(cut) R(line_break) R(table) R(row) R(cell) R(preformatted) R(reading) R(dialog) R(formula) \
    R(template) R(inline_frame) R(line_beginning) R(document) R(annotation) R(anchor) R(area) R(frame) R(heading) \
    R(relation) R(base) R(meta) R(script) R(image) R(medium) R(source) R(time) R(drawing) R(html_again) R(noscript)

#define NUMBER(name) number_of_##name,
#define ROLE(name) static const role_t is_##name = (role_t)1 << number_of_##name;
#define NAME(name) #name,
enum { ROLES(NUMBER) ROLE_COUNT };
ROLES(ROLE)
static const char *const role_names[ROLE_COUNT] = {ROLES(NAME)};

enum { TAGS = 512 }; /* lexbor's own tags have small numbers; those of all others are addresses */
static role_t roles[TAGS];

static inline role_t role_of(node_t *node) {
    uintptr_t tag = tag_of(node);
    return tag < TAGS ? roles[tag] : 0;
}

enum { MAX_TOUCHING_NODES = 8 }; /* as in Python */

/* What the walk has done so far. A mark that not every element of its kind has is `recent`, the last of them: no more
   than `MAX_TOUCHING_NODES` are looked back at. */
typedef struct {
    size_t blocks, parted_at;
    int row_is_new;
    unsigned recent_count;
    node_t *recent[MAX_TOUCHING_NODES];
} marks_t;

static const marks_t NO_MARKS = {.parted_at = SIZE_MAX};

typedef enum {
    NO_MARK,
    BREAK_MARK,
    LINE_BREAK_MARK,
    ROW_MARK,
    CELL_MARK,
    TOUCHING_MARK,
    SPACE_MARK,
    OPENING_MARK,
    CLOSING_MARK,
} mark_t;

typedef struct {
    byte_t bytes[2], length;
} written_t;

static const written_t written[] = {
    [NO_MARK] = {{0}, 0},
    [BREAK_MARK] = {{BREAK}, 1},
    [LINE_BREAK_MARK] = {{BREAK, '\n'}, 2},
    [ROW_MARK] = {{ROW}, 1},
    [CELL_MARK] = {{CELL}, 1},
    [TOUCHING_MARK] = {{TOUCHING}, 1},
    [SPACE_MARK] = {{' '}, 1},
    [OPENING_MARK] = {{BREAK, PREFORMATTED}, 2},
    [CLOSING_MARK] = {{PREFORMATTED_END, BREAK}, 2},
};

static inline int append_mark(buffer_t *buffer, mark_t mark) {
    if (mark == NO_MARK) return 1;
    if (!grow(buffer, sizeof written->bytes)) return 0;
    memcpy(buffer->start + buffer->length, written[mark].bytes, sizeof written->bytes); /* the second may not count */
    buffer->length += written[mark].length;
    return 1;
}

static mark_t mark_after(role_t role) {
    if (role & (is_block | is_dialog)) return BREAK_MARK;
    if (role & is_table) return ROW_MARK;
    if (role & is_preformatted) return CLOSING_MARK;
    return role & is_reading ? SPACE_MARK : NO_MARK;
}

static int is_marked_before(const marks_t *marks, node_t *node) {
    role_t role = role_of(node);
    if (role & (is_block | is_line_break | is_table | is_row | is_preformatted | is_reading | is_dialog)) return 1;
    if (role & (is_cell | is_parted))
        for (int i = 0; i < MAX_TOUCHING_NODES; i++)
            if (marks->recent[i] == node) return 1;
    return 0;
}

static int ends_with_parted(node_t *node) {
    for (int i = 0; i < MAX_TOUCHING_NODES && node; i++) {
        role_t role = role_of(node);
        if (role & is_parted) return 1;
        node = last_child(node);
        if (node && mark_after(role_of(node))) return 0; /* the mark comes last */
    }
    return 0;
}

/* As `_touches_another`. A mark is text, so whatever is marked ends the search. */
static int touches_another(const marks_t *marks, node_t *node) {
    for (int i = 0; i < MAX_TOUCHING_NODES; i++) {
        if (is_marked_before(marks, node)) return 0;
        node_t *before = previous(node);
        if (!before) {
            node_t *around = parent(node);
            if (!around || role_of(around) & is_line_beginning) return 0;
            node = around;
        } else if (mark_after(role_of(before))) {
            return 0;
        } else if (!last_child(before) && tag_of(before) != TEXT_TAG) {
            node = before;
        } else {
            return ends_with_parted(before);
        }
    }
    return 0;
}

static mark_t remembered(marks_t *marks, node_t *node, mark_t mark) {
    marks->recent[marks->recent_count++ % MAX_TOUCHING_NODES] = node;
    return mark;
}

/* Come to an element: the mark before it. */
static mark_t mark_before(marks_t *marks, node_t *node, role_t role) {
    if (role & is_parted) {
        int touches = marks->blocks == marks->parted_at && touches_another(marks, node);
        marks->parted_at = marks->blocks;
        return touches ? remembered(marks, node, TOUCHING_MARK) : NO_MARK;
    }
    if (role & is_reading) return SPACE_MARK;
    if (!(role & (is_block | is_line_break | is_table | is_row | is_cell | is_preformatted | is_dialog)))
        return NO_MARK;
    marks->blocks++;
    if (role & is_line_break) return LINE_BREAK_MARK;
    if (role & is_preformatted) return OPENING_MARK;
    if (!(role & (is_row | is_cell))) return BREAK_MARK;
    int begins_row = marks->row_is_new;
    marks->row_is_new = (role & is_row) != 0;
    if (role & is_row) return ROW_MARK;
    return begins_row ? NO_MARK : remembered(marks, node, CELL_MARK);
}

/* An annotation of a formula, which is none where there is no formula. */
static int is_annotation_of_formula(node_t *element, role_t role) {
    if (!(role & is_annotation) && (tag_of(element) < TAGS || !equals(element_name(element), "annotation"))) return 0;
    node_t *around = parent(element);
    return around && node_type(around) == ELEMENT && equals(element_name(around), "semantics");
}

/* Whether markup hides it. */
static int is_hidden(node_t *element, role_t role, int is_annotation) {
    if (role & (is_cut | is_template | is_inline_frame)) return 1;
    if ((role & is_dialog) && !attribute_named(element, "open")) return 1;
    if (role & is_document) return 0;
    int hides = is_annotation;
    for (attribute_t *each = first_attribute(element); each; each = next_attribute(each)) {
        slice_t name = name_of(each);
        if (equals(name, "popover")) hides = 1;
        if (!equals(name, "hidden")) continue;
        if (equals_ignoring_case(value_of(each), "until-found")) return 0;
        hides = 1;
    }
    return hides;
}
