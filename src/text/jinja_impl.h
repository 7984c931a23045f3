/* jinja_impl.h - values, syntax tree and state of the Jinja interpreter. Internal to jinja_*.c. */
#ifndef LINNET_TEXT_JINJA_IMPL_H
#define LINNET_TEXT_JINJA_IMPL_H

#include <string.h>

#include "text/jinja.h"

enum {
    JJ_MAX_STEPS = 2000000,
    JJ_MAX_DEPTH = 96,
    JJ_MAX_BYTES = 64 << 20,
    JJ_MAX_OUTPUT = 16 << 20,
    JJ_MAX_RANGE = 100000,
    JJ_MAX_SOURCE = 1 << 20,
    JJ_MAX_ARGS = 8,
    JJ_MAX_VARS = 4096
};

/* ---- values ---- */

typedef enum jj_type {
    JJ_UNDEFINED,
    JJ_NONE,
    JJ_BOOL,
    JJ_INT,
    JJ_FLOAT,
    JJ_STR,
    JJ_LIST,
    JJ_DICT,
    JJ_LOOP,
    JJ_FUNC,
    JJ_METHOD,
    JJ_MACRO
} jj_type;

typedef struct jj_str {
    const char *data; /* UTF-8, not NUL-terminated */
    size_t len;
} jj_str;

typedef struct jj_value jj_value;
typedef struct jj_list jj_list;
typedef struct jj_dict jj_dict;
typedef struct jj_loop jj_loop;
typedef struct jj_method jj_method;
typedef struct jj_node jj_node;

struct jj_value {
    jj_type type;
    bool tuple; /* a list written with parentheses, or a mapping that is a namespace */
    union {
        bool b;
        int64_t i;
        double f;
        jj_str s; /* of JJ_UNDEFINED: the name that was asked for */
        jj_list *list;
        jj_dict *dict;
        jj_loop *loop;
        jj_method *method;
        const jj_node *macro;
        int func;
    } u;
};

struct jj_list {
    jj_value *item;
    int64_t n, cap;
};

/* In order of insertion; few members, so they are searched one by one. Keys are strings. */
struct jj_dict {
    jj_str *key;
    jj_value *value;
    int64_t n, cap;
};

struct jj_loop {
    int64_t index; /* from 0 */
    const jj_list *items;
    int depth;
};

struct jj_method {
    jj_value self;
    jj_str name;
};

/* ---- syntax tree ---- */

typedef enum jj_kind {
    /* expressions */
    JN_CONST,
    JN_NAME,
    JN_LIST,
    JN_DICT,
    JN_ATTR,
    JN_ITEM,
    JN_SLICE,
    JN_CALL,
    JN_FILTER,
    JN_TEST,
    JN_NOT,
    JN_NEG,
    JN_POS,
    JN_BINARY,
    JN_AND,
    JN_OR,
    JN_COMPARE,
    JN_COND,
    /* statements */
    JN_TEXT,
    JN_OUTPUT,
    JN_IF,
    JN_FOR,
    JN_SET,
    JN_SET_BLOCK,
    JN_BREAK,
    JN_CONTINUE,
    JN_MACRO,
    JN_BODY
} jj_kind;

/* One node for all: `a`, `b`, `c` are the operands in the order they are written, `list` a chain through `next`. */
struct jj_node {
    jj_kind kind;
    int op; /* token of an operator; of JN_TEST 1 when negated; of JN_LIST 1 for a tuple */
    int line;
    jj_value value; /* JN_CONST, JN_TEXT */
    jj_str name;    /* of names, attributes, filters, tests, macros, keyword arguments */
    jj_node *a, *b, *c, *list, *next;
};

/* ---- tokens ---- */

typedef enum jj_token {
    JT_END,
    JT_TEXT,
    JT_VAR_BEGIN,
    JT_VAR_END,
    JT_BLOCK_BEGIN,
    JT_BLOCK_END,
    JT_NAME,
    JT_STR,
    JT_INT,
    JT_FLOAT,
    /* two-character operators */
    JT_EQ,
    JT_NE,
    JT_LE,
    JT_GE,
    JT_POW,
    JT_FLOORDIV,
    /* words that the parser turns into operators */
    JT_IN,
    JT_NOT_IN
    /* every other token is its character */
} jj_token;

typedef struct jj_lexer {
    const char *p, *end;
    int line;
    bool in_tag, variable; /* inside {{ … }} or {% … %} */
    bool line_start;       /* the text to come begins a line */
    int depth;             /* brackets open inside the tag */
    int token;             /* current */
    jj_str text;           /* its characters; of strings: unescaped */
    int64_t integer;
    double real;
} jj_lexer;

/* ---- state of one rendering ---- */

typedef struct jj_var {
    jj_str name;
    jj_value value;
} jj_var;

typedef struct jj {
    const char *what;
    ln__arena *arena;
    jj_lexer lex;
    int depth, line;
    int64_t steps;
    jj_var *vars;
    int n_vars, frame;   /* variables of the innermost scope begin at `frame` */
    int top;             /* variables of the outermost scope */
    int globals, hidden; /* inside a macro, variables from `globals` to `hidden` are out of sight */
    ln__buf *out;
    int nesting;     /* statements inside statements */
    int loops, flow; /* nested loops; 1 break, 2 continue on its way out */
} jj;

/* Reading long strings costs steps too. */
static inline void jj_charge(jj *j, size_t bytes)
{
    j->steps += (int64_t)(bytes >> 6);
}

/* jinja_lex.c */
ln_status jj_next(jj *j);
bool jj_is(const jj *j, int token);
bool jj_is_word(const jj *j, const char *word);
/* jinja_parse.c (statements), jinja_expr.c (expressions) */
ln_status jj_parse(jj *j, jj_node **out);
ln_status jj_parse_expr(jj *j, jj_node **out, bool allow_if, bool tuple);
ln_status jj_node_new(jj *j, jj_node **out, jj_kind kind);
ln_status jj_expect(jj *j, int token, const char *what);
/* jinja_eval.c, jinja_run.c */
ln_status jj_eval(jj *j, jj_value *out, const jj_node *n);
ln_status jj_run(jj *j, const jj_node *body);
ln_status jj_call_macro(jj *j, jj_value *out, const jj_node *macro, const jj_value *args, int n, const jj_dict *kwargs);
ln_status jj_assign(jj *j, jj_str name, jj_value v);
/* jinja_binary.c */
ln_status jj_binary(jj *j, jj_value *out, int op, const jj_value *a, const jj_value *b);
ln_status jj_compare(jj *j, bool *out, int op, const jj_value *a, const jj_value *b);
bool jj_equal(jj *j, const jj_value *a, const jj_value *b);
/* jinja_filter.c, jinja_method.c, jinja_test.c */
ln_status jj_filter(jj *j, jj_value *out, jj_str name, jj_value v, const jj_value *args, int n, const jj_dict *kwargs);
ln_status jj_method_call(jj *j, jj_value *out, const jj_method *m, const jj_value *args, int n);
bool jj_has_method(const jj_value *v, jj_str name);
ln_status jj_title(jj *j, jj_value *out, jj_str s); /* the filter, whose words are not those of the method */
ln_status jj_test(jj *j, bool *out, jj_str name, jj_value v, const jj_value *args, int n);
enum { JJ_RAISE = 1, JJ_RANGE, JJ_NAMESPACE, JJ_DICT_OF };
/* jinja_value.c */
/* Records the message with the template's line; jj_fail is the code, which compilers then know not to be LN_OK. */
void jj_complain(jj *j, ln_status code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
#define jj_fail(j, code, ...) (jj_complain((j), (code), __VA_ARGS__), (code))
ln_status jj_alloc(jj *j, void *out, size_t count, size_t size);
ln_status jj_from_json(jj *j, jj_value *out, const json_t *v);
ln_status jj_text(jj *j, ln__buf *out, const jj_value *v);            /* as {{ v }} prints it         */
ln_status jj_repr(jj *j, ln__buf *out, const jj_value *v, int depth); /* as Python's repr             */
ln_status jj_to_json(jj *j, ln__buf *out, const jj_value *v, int indent, int depth);
bool jj_truth(const jj_value *v);
const char *jj_type_name(const jj_value *v);
ln_status jj_list_new(jj *j, jj_value *out, int64_t cap);
ln_status jj_list_add(jj *j, jj_list *l, jj_value v);
ln_status jj_dict_new(jj *j, jj_value *out);
ln_status jj_dict_set(jj *j, jj_dict *d, jj_str key, jj_value v);
const jj_value *jj_dict_get(const jj_dict *d, jj_str key);
ln_status jj_keep(jj *j, jj_value *out, const char *s, size_t n); /* a string value with its own bytes */
ln_status jj_keep_buf(jj *j, jj_value *out, ln__buf *b);          /* the same, and frees the buffer     */
/* The items that iterating over v gives; a list is passed through. */
ln_status jj_items(jj *j, jj_value *out, const jj_value *v);
static inline bool jj_eq(jj_str s, const char *word)
{
    return s.len == strlen(word) && memcmp(s.data, word, s.len) == 0;
}
static inline bool jj_same(jj_str a, jj_str b)
{
    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}
static inline jj_value jj_bool(bool b)
{
    return (jj_value){ .type = JJ_BOOL, .u.b = b };
}
static inline jj_value jj_int(int64_t i)
{
    return (jj_value){ .type = JJ_INT, .u.i = i };
}
static inline jj_value jj_string(jj_str s)
{
    return (jj_value){ .type = JJ_STR, .u.s = s };
}

#endif
