/* Text: from the marked text of a document to its lines, and to the labels of links, as `text_lines` and `collapse` do.

   All is UTF-8. Two things are left to Python, which `kinds_of` finds: characters that nobody sees (`invisible`), and
   control characters of the page's own that are taken for marks. */

#include <stdlib.h>

enum { BREAK = 0, ROW = 0x1d, CELL = 0x1f, PREFORMATTED = 0x1c, PREFORMATTED_END = 0x0b, TOUCHING = 0x1e };

typedef struct {
    byte_t *start;
    size_t length, capacity;
} buffer_t;

static int enlarge(buffer_t *buffer, size_t more) {
    size_t capacity = buffer->capacity ? buffer->capacity : 16384; /* what a page takes as a rule */
    while (capacity - buffer->length < more) {
        if (capacity > SIZE_MAX / 2) return 0;
        capacity *= 2;
    }
    byte_t *start = realloc(buffer->start, capacity);
    if (!start) return 0;
    buffer->start = start;
    buffer->capacity = capacity;
    return 1;
}

/* Make room for `more` bytes. False where there is no memory. */
static inline int grow(buffer_t *buffer, size_t more) {
    return more <= buffer->capacity - buffer->length || enlarge(buffer, more);
}

static inline int append(buffer_t *buffer, const void *bytes, size_t length) {
    if (!grow(buffer, length)) return 0;
    if (length) memcpy(buffer->start + buffer->length, bytes, length);
    buffer->length += length;
    return 1;
}

static inline int append_byte(buffer_t *buffer, byte_t byte) { return append(buffer, &byte, 1); }

enum { LEADS_INVISIBLE = 1, IS_MARK = 2 };

static const byte_t kinds[256] = {
    [0x02] = IS_MARK, [0x06] = IS_MARK, [PREFORMATTED_END] = IS_MARK, [PREFORMATTED] = IS_MARK,
    [ROW] = IS_MARK, [TOUCHING] = IS_MARK, [CELL] = IS_MARK,
    [0xc2] = LEADS_INVISIBLE, [0xe2] = LEADS_INVISIBLE, [0xef] = LEADS_INVISIBLE,
};

/* Whether it has a character that `without_invisible` may take out: U+00AD, U+200B-200D, U+2060-2064, U+FEFF. */
static int has_invisible(const byte_t *at, const byte_t *end) {
    for (; at < end; at++) {
        if (*at < 0xc2) continue;
        if (*at == 0xc2 && end - at > 1 && at[1] == 0xad) return 1;
        if (end - at < 3) continue;
        if (*at == 0xe2 && at[1] == 0x80 && at[2] >= 0x8b && at[2] <= 0x8d) return 1;
        if (*at == 0xe2 && at[1] == 0x81 && at[2] >= 0xa0 && at[2] <= 0xa4) return 1;
        if (*at == 0xef && at[1] == 0xbb && at[2] == 0xbf) return 1;
    }
    return 0;
}

#define EACH_BYTE(byte) (UINT64_MAX / 255 * (byte))

/* Of the eight bytes at `at`; where they are printable ASCII, as most are, no single one is looked at. */
static inline int kinds_of_eight(const byte_t *at) {
    uint64_t bytes;
    memcpy(&bytes, at, sizeof bytes);
    uint64_t below_space = (bytes - EACH_BYTE(' ')) & ~bytes; /* the highest bit of each that is, at least */
    int found = 0;
    if (!((below_space | bytes) & EACH_BYTE(0x80))) return 0;
    for (size_t i = 0; i < sizeof bytes; i++) found |= kinds[at[i]];
    return found;
}

/* Which of the two things that are left to Python there are. */
static int kinds_of(const byte_t *at, size_t length) {
    int found = 0;
    size_t i = 0;
    for (; i + 8 <= length; i += 8) found |= kinds_of_eight(at + i);
    if (length >= 8) found |= kinds_of_eight(at + length - 8);
    else while (i < length) found |= kinds[at[i++]];
    if ((found & LEADS_INVISIBLE) && !has_invisible(at, at + length)) found &= ~LEADS_INVISIBLE;
    return found;
}

/* The length of the whitespace character at `at`, as `str.split` knows it; 0 where there is none. */
static inline size_t space_at(const byte_t *at, const byte_t *end) {
    byte_t first = *at;
    if (first <= ' ') return first == ' ' || (first >= 9 && first <= 13) || (first >= 0x1c && first <= 0x1f);
    if (first < 0xc2 || first > 0xe3) return 0;
    if (first == 0xc2) return end - at > 1 && (at[1] == 0x85 || at[1] == 0xa0) ? 2 : 0;
    if (first < 0xe1 || end - at < 3) return 0;
    byte_t second = at[1], third = at[2];
    if (first == 0xe1) return second == 0x9a && third == 0x80 ? 3 : 0;
    if (first == 0xe3) return second == 0x80 && third == 0x80 ? 3 : 0;
    if (second == 0x81) return third == 0x9f ? 3 : 0;
    if (second != 0x80) return 0;
    return (third >= 0x80 && third <= 0x8a) || third == 0xa8 || third == 0xa9 || third == 0xaf ? 3 : 0;
}

/* The length of the whitespace character that ends at `end`. */
static size_t space_before(const byte_t *start, const byte_t *end) {
    for (size_t length = 1; length <= 3 && length <= (size_t)(end - start); length++)
        if (space_at(end - length, end) == length) return length;
    return 0;
}

static slice_t stripped(slice_t text) {
    const byte_t *at = text.start, *end = at + text.length;
    size_t length;
    while (at < end && (length = space_at(at, end))) at += length;
    while (at < end && (length = space_before(at, end))) end -= length;
    return (slice_t){at, (size_t)(end - at)};
}

/* What a byte is: part of a word, a space, or what has to be looked at. */
enum { IN_WORD, IS_SPACE, IS_OTHER };

static const byte_t word_kinds[256] = {
    [BREAK] = IS_OTHER, ['\t'] = IS_OTHER, ['\n'] = IS_OTHER, [PREFORMATTED_END] = IS_OTHER, ['\f'] = IS_OTHER,
    ['\r'] = IS_OTHER, [PREFORMATTED] = IS_OTHER, [ROW] = IS_OTHER, [TOUCHING] = IS_OTHER, [CELL] = IS_OTHER,
    [' '] = IS_SPACE, [0xc2] = IS_OTHER, [0xe1] = IS_OTHER, [0xe2] = IS_OTHER, [0xe3] = IS_OTHER,
};

/* How many of the eight bytes at `at` are part of words with single spaces between; 0 where each has to be looked at. */
static inline size_t words_of_eight(const byte_t *at) {
    uint64_t bytes;
    memcpy(&bytes, at, sizeof bytes);
    if (((bytes + EACH_BYTE(0x80 - ' ')) & ~bytes & EACH_BYTE(0x80)) != EACH_BYTE(0x80)) return 0; /* not all printable */
    uint64_t spaces = ~((bytes ^ EACH_BYTE(' ')) + EACH_BYTE(0x7f)) & EACH_BYTE(0x80);
    if (spaces & (spaces << 8)) return 0;
    return sizeof bytes - (at[7] == ' '); /* what follows that one is looked at next */
}

/* Where the words that begin at `at` end: more than one only where there are single spaces between, as they will be
   written. */
static inline const byte_t *end_of_words(const byte_t *at, const byte_t *end) {
    const byte_t *next_eight = at;
    for (; at < end; at++) {
        while (at >= next_eight && end - at >= 8) {
            size_t width = words_of_eight(at);
            next_eight = width ? at += width : at + 8;
        }
        if (at == end) break;
        if (word_kinds[*at] == IN_WORD) continue;
        if (word_kinds[*at] == IS_SPACE ? end - at < 2 || word_kinds[at[1]] != IN_WORD : !*at || space_at(at, end)) break;
    }
    return at;
}

/* `length` bytes of text on one line: words with single spaces between, at most `max_chars`. */
static int append_collapsed(buffer_t *buffer, const byte_t *at, size_t length, size_t max_chars) {
    const byte_t *end = at + length;
    size_t begin = buffer->length, width, chars = 0;
    if (!grow(buffer, length + 1)) return 0;
    while (at < end) {
        if ((width = space_at(at, end))) {
            at += width;
            continue;
        }
        const byte_t *words_end = end_of_words(at, end);
        if (words_end == at) words_end++; /* a NUL: no text has one */
        if (buffer->length > begin && !append_byte(buffer, ' ')) return 0;
        if (!append(buffer, at, (size_t)(words_end - at))) return 0;
        at = words_end;
    }
    if (buffer->length - begin <= max_chars) return 1; /* fewer characters than bytes: nothing is to be cut */
    byte_t *cut = buffer->start + begin, *last = buffer->start + buffer->length;
    for (; cut < last; cut++)
        if ((*cut & 0xc0) != 0x80 && chars++ == max_chars) break;
    while (cut > buffer->start + begin && cut[-1] == ' ') cut--;
    buffer->length = (size_t)(cut - buffer->start);
    return 1;
}

/* What stands between the last word written and the next. A break is `soft` as long as a cell may follow at once, which
   takes it away, as one does behind a cell. */
typedef struct {
    int has_rows, space, soft_break, hard_break, after_cell;
    size_t tabs;
} gap_t;

static void meet_break(gap_t *gap) {
    if (!gap->has_rows) gap->hard_break = 1;
    else if (!gap->after_cell) gap->soft_break = 1;
}

static void settle_break(gap_t *gap) {
    if (gap->soft_break) {
        gap->hard_break = 1;
        gap->tabs = 0; /* the cells before a break are empty, and at the end of their row */
    }
    gap->soft_break = gap->after_cell = 0;
}

static void meet_row(gap_t *gap) {
    gap->space = 1;
    if (!gap->has_rows) return;
    gap->soft_break = 1;
    settle_break(gap);
}

static void meet_cell(gap_t *gap) {
    gap->space = 1;
    if (!gap->has_rows) return;
    gap->soft_break = 0;
    gap->after_cell = 1;
    gap->tabs++;
}

static void meet_space(gap_t *gap, const byte_t *at, size_t width) {
    gap->space = 1;
    if (gap->has_rows && width > 1 && !(at[0] == 0xc2 && at[1] == 0xa0)) settle_break(gap);
}

static inline int append_word(buffer_t *lines, gap_t *gap, const byte_t *word, size_t length) {
    settle_break(gap);
    if (!grow(lines, gap->tabs + length + 1)) return 0;
    if (gap->hard_break && lines->length) lines->start[lines->length++] = '\n';
    else if (!gap->hard_break && !gap->tabs && gap->space && lines->length) lines->start[lines->length++] = ' ';
    while (gap->tabs) lines->start[lines->length++] = '\t', gap->tabs--;
    gap->hard_break = gap->space = 0;
    return append(lines, word, length);
}

/* Preformatted text in place: `length` bytes at `start`, of which the new length is returned. As it is, but for empty
   lines at its ends and whitespace at the ends of lines. */
static size_t tidied(byte_t *start, size_t length) {
    byte_t *to = start, *line = start;
    const byte_t *from = start, *end = start + length;
    while (from < end) {
        if (*from == TOUCHING) {
            from++;
        } else if (*from == CELL) {
            *to++ = '\t';
            from++;
        } else if (*from == 0xc2 && end - from > 1 && from[1] == 0xa0) {
            *to++ = ' ';
            from += 2;
        } else if (*from != BREAK && *from != '\n' && *from != ROW) {
            *to++ = *from++;
        } else { /* breaks, at most one line feed among them, are one */
            int ended = 0;
            for (; from < end; from++) {
                if (*from == '\n' || *from == ROW) {
                    if (ended++) break;
                } else if (*from != BREAK && *from != TOUCHING) {
                    break;
                }
            }
            for (size_t width; to > line && (width = space_before(line, to));) to -= width;
            *to++ = '\n';
            line = to;
        }
    }
    for (size_t width; to > line && (width = space_before(line, to));) to -= width;
    while (to > start && to[-1] == '\n') to--;
    const byte_t *first = start;
    while (first < to && *first == '\n') first++;
    memmove(start, first, (size_t)(to - first));
    return (size_t)(to - first);
}

/* The preformatted text that begins at `at`, behind its mark; each part within or behind another is one of its own.
   Returns where it ends, NULL where there is no memory. */
static byte_t *append_preformatted(buffer_t *lines, gap_t *gap, byte_t *at, byte_t *end) {
    for (int depth = 1; depth > 0;) {
        byte_t *part = at;
        while (at < end && *at != PREFORMATTED && *at != PREFORMATTED_END) at++;
        size_t length = tidied(part, (size_t)(at - part));
        if (length) {
            meet_break(gap);
            if (!append_word(lines, gap, part, length)) return NULL;
            meet_break(gap);
        }
        if (at == end) return at;
        depth += *at++ == PREFORMATTED ? 1 : -1;
    }
    return at;
}

/* The lines of the marked text from `at` to `end`, which is overwritten. */
static int append_lines(buffer_t *lines, byte_t *at, byte_t *end, int has_rows) {
    gap_t gap = {.has_rows = has_rows};
    size_t width;
    if (!grow(lines, (size_t)(end - at) + 1)) return 0;
    while (at < end) {
        if (*at > ' ' && *at < 0xc2) { /* of most bytes the first look is enough */
            width = 0;
        } else if (*at == BREAK) {
            meet_break(&gap);
            width = 1;
        } else if (*at == ROW) {
            meet_row(&gap);
            width = 1;
        } else if (*at == CELL) {
            meet_cell(&gap);
            width = 1;
        } else if (*at == PREFORMATTED) {
            if (!(at = append_preformatted(lines, &gap, at + 1, end))) return 0;
            continue;
        } else if ((width = space_at(at, end))) {
            meet_space(&gap, at, width);
        }
        if (width) {
            at += width;
            continue;
        }
        byte_t *words = at;
        at = (byte_t *)end_of_words(at, end);
        if (!append_word(lines, &gap, words, (size_t)(at - words))) return 0;
    }
    return 1;
}
