/* The functions of lexbor that selectolax's library exports. No header of lexbor's and no layout of a structure of its
   is needed, so that another version of selectolax either has these functions or is not used. */

#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef unsigned char byte_t;
typedef struct node node_t; /* never defined: only lexbor looks into one */
typedef struct attribute attribute_t;

enum { ELEMENT = 1, TEXT = 3 }; /* node types, as in the DOM standard */
enum { TEXT_TAG = 2 };          /* the number that lexbor gives text instead of a tag's */

#define LEXBOR(F) \
    F(int, node_type, lxb_dom_node_type_noi, (node_t *)) \
    F(uintptr_t, tag_of, lxb_dom_node_tag_id_noi, (node_t *)) \
    F(node_t *, first_child, lxb_dom_node_first_child_noi, (node_t *)) \
    F(node_t *, last_child, lxb_dom_node_last_child_noi, (node_t *)) \
    F(node_t *, previous, lxb_dom_node_prev_noi, (node_t *)) \
    F(node_t *, next, lxb_dom_node_next_noi, (node_t *)) \
    F(node_t *, parent, lxb_dom_node_parent_noi, (node_t *)) \
    F(const byte_t *, copied_text, lxb_dom_node_text_content, (node_t *, size_t *)) \
    F(const byte_t *, local_name, lxb_dom_element_local_name, (node_t *, size_t *)) \
    F(attribute_t *, first_attribute, lxb_dom_element_first_attribute_noi, (node_t *)) \
    F(attribute_t *, next_attribute, lxb_dom_element_next_attribute_noi, (attribute_t *)) \
    F(const byte_t *, attribute_name, lxb_dom_attr_qualified_name, (attribute_t *, size_t *)) \
    F(const byte_t *, attribute_value, lxb_dom_attr_value_noi, (attribute_t *, size_t *))

#define DECLARE(type, name, symbol, arguments) static type(*name) arguments;
LEXBOR(DECLARE)

/* Find the functions in the library at `path`, which is loaded. NULL, or what is missing. */
static const char *load_lexbor(const char *path) {
    void *library = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
    if (!library) return path;
#define FIND(type, name, symbol, arguments) \
    if (!(*(void **)&name = dlsym(library, #symbol))) return #symbol;
    LEXBOR(FIND)
    return NULL;
}

/* Whether there is memory at `address`, where a node is said to be: asked before the first look at one. */
static int is_mapped(uintptr_t address) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    if (!address || address % sizeof(void *)) return 0;
    return msync((void *)(address & ~(page - 1)), page, MS_ASYNC) == 0;
}

typedef struct {
    const byte_t *start; /* NULL: there is none */
    size_t length;
} slice_t;

static int equals(slice_t slice, const char *name) {
    size_t length = strlen(name);
    return slice.start && slice.length == length && !memcmp(slice.start, name, length);
}

static int same_ignoring_case(const byte_t *bytes, const char *lower, size_t length) {
    for (size_t i = 0; i < length; i++) {
        byte_t byte = bytes[i];
        if ((byte >= 'A' && byte <= 'Z' ? byte + 32 : byte) != (byte_t)lower[i]) return 0;
    }
    return 1;
}

static int equals_ignoring_case(slice_t slice, const char *lower) {
    size_t length = strlen(lower);
    return slice.start && slice.length == length && same_ignoring_case(slice.start, lower, length);
}

static int contains_ignoring_case(slice_t slice, const char *lower) {
    size_t length = strlen(lower);
    for (size_t i = 0; slice.start && i + length <= slice.length; i++)
        if (same_ignoring_case(slice.start + i, lower, length)) return 1;
    return 0;
}

static slice_t name_of(attribute_t *attribute) {
    slice_t name = {NULL, 0};
    name.start = attribute_name(attribute, &name.length);
    return name;
}

static slice_t value_of(attribute_t *attribute) {
    slice_t value = {NULL, 0};
    if (attribute) value.start = attribute_value(attribute, &value.length);
    return value;
}

static attribute_t *attribute_named(node_t *element, const char *name) {
    attribute_t *each = first_attribute(element);
    while (each && !equals(name_of(each), name)) each = next_attribute(each);
    return each;
}

static slice_t element_name(node_t *element) {
    slice_t name = {NULL, 0};
    name.start = local_name(element, &name.length);
    return name;
}
