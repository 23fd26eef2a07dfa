//! The grammar of `endpoint`. Our additions: `format`, and `window` of an incremental.

use super::super::shape::{Key, Object, Shape, Tagged, Variant, key, required};
use super::{auth, paginator};

/// A text is short for `{path: TEXT}`.
pub(super) const ENDPOINT: Shape = Shape::Either(&[Shape::Text, Shape::Object(&ENDPOINT_OBJECT)]);

const ENDPOINT_OBJECT: Object = Object {
    name: "endpoint",
    description: "What to ask for. Texts in `path`, `params`, `json`, `data` and `headers` may hold placeholders: \
                  `{resources.PARENT.FIELD}`, `{incremental.start_value}`; `{{` and `}}` are literal braces.",
    keys: &[&[
        key("path", Shape::Text, "Appended to `base_url`, or a whole URL. Default: the resource's name."),
        key("method", Shape::Method(METHODS), "HTTP method, in either case. Default: `GET`."),
        key("params", Shape::Map(&PARAM), "Query parameters; those that `path` names are filled in there instead."),
        key("json", Shape::Either(&[Shape::Map(&Shape::Any), Shape::List(&Shape::Any)]), "JSON body."),
        key("data", DATA, "Form fields, as an object or a list of pairs; or a text to send as it stands."),
        key("headers", Shape::Map(&Shape::Scalar), "Sent besides the client's; these take precedence."),
        key("auth", auth::AUTH, "Replaces the client's."),
        key("paginator", paginator::PAGINATOR, "Replaces the client's, except `auto`; null resets to the client's."),
        key("data_selector", Shape::Text, "JSONPath to the records. Default: found out from the first response."),
        key("response_actions", Shape::List(&RESPONSE_ACTION_OR_HOOK), "What to do with certain responses."),
        key("incremental", Shape::Object(&INCREMENTAL), "How new records are told from known ones."),
        key("format", FORMAT, "What the body is. Default: `json`. Not in dlt."),
    ]],
    free_prefix: None,
};

const METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "QUERY", "SEARCH", "REPORT"];

const PARAM: Shape = Shape::Either(&[Shape::Scalar, Shape::List(&SCALAR_OR_NULL), Shape::Tagged(&BOUND_PARAM)]);

/// A null among the values is left out.
const SCALAR_OR_NULL: Shape = Shape::Nullable(&Shape::Scalar);

const BOUND_PARAM: Tagged = Tagged {
    name: "bound_param",
    description: "A parameter whose value comes from elsewhere.",
    default: None,
    variants: &[
        Variant {
            tags: &["resolve"],
            object: Object {
                name: "resolve",
                description: "A field of the parent resource; `path` must name the parameter.",
                keys: &[&[
                    required("resource", Shape::Text, "The parent resource."),
                    required("field", Shape::Text, "JSONPath into the parent's record."),
                ]],
                free_prefix: None,
            },
        },
        Variant {
            tags: &[INCREMENTAL_PARAM],
            object: Object {
                name: "incremental_param",
                description: "The start value of an incremental.",
                keys: &[INCREMENTAL_KEYS],
                free_prefix: None,
            },
        },
    ],
};

pub(crate) const INCREMENTAL_PARAM: &str = "incremental";

const DATA: Shape = Shape::Either(&[Shape::Text, Shape::Map(&Shape::Any), Shape::List(&Shape::List(&Shape::Any))]);

/// dlt takes functions, too.
const RESPONSE_ACTION_OR_HOOK: Shape = Shape::Either(&[
    Shape::Object(&RESPONSE_ACTION),
    Shape::Python("say which responses and what to do with them, such as `{status_code: 404, action: ignore}`"),
]);

const RESPONSE_ACTION: Object = Object {
    name: "response_action",
    description: "What to do with a response that fits; both conditions given, both must fit.",
    keys: &[&[
        key("status_code", Shape::Either(&[Shape::Integer(100), Shape::Text]), "Status of the response."),
        key("content", Shape::Text, "A part of the body's text."),
        required(
            "action",
            Shape::Word(ACTIONS),
            "`ignore` ends this pagination without records; `retry` and `raise` are not in dlt.",
        ),
    ]],
    free_prefix: None,
};

pub(crate) const ACTIONS: &[&str] = &["ignore", "retry", "raise"];

const INCREMENTAL: Object = Object {
    name: "incremental",
    description: "How new records are told from known ones.",
    keys: &[
        INCREMENTAL_KEYS,
        &[
            key("start_param", Shape::Text, "Query parameter that gets the start value."),
            key("end_param", Shape::Text, "Query parameter that gets the end value."),
        ],
    ],
    free_prefix: None,
};

const INCREMENTAL_KEYS: &[Key] = &[
    required("cursor_path", Shape::Text, "JSONPath into the record."),
    key(
        "cursor_format",
        Shape::Text,
        "How the cursor is written: strftime's letters such as `%d/%m/%Y`, `%s` or `%ms` for epochs, `text` to compare \
         letter by letter. Default: dates and numbers that can be read in one way only. Not in dlt.",
    ),
    key(
        "initial_value",
        Shape::Any,
        "Where to start in the first run; `${now - 30d}`, `${today}` are relative to now.",
    ),
    key("end_value", Shape::Any, "Where to stop; then no state is kept. Needs `initial_value`."),
    key("last_value_func", Shape::Choice(&["max", "min"]), "Whether the cursor grows or falls. Default: `max`."),
    key("primary_key", COLUMN_NAMES, "Tells records at the boundary apart. Default: the resource's."),
    key("row_order", Shape::Choice(&["asc", "desc"]), "The order in which the API gives records: stops early."),
    key("on_cursor_value_missing", Shape::Choice(&["raise", "include", "exclude"]), "Default: `raise`."),
    key("lag", Shape::Number, "Goes back by this: seconds for timestamps, days for dates, else a number."),
    key("range_start", Shape::Choice(RANGE_ENDS), "Whether the start value itself belongs to it. Default: `closed`."),
    key("range_end", Shape::Choice(RANGE_ENDS), "Whether the end value itself belongs to it. Default: `open`."),
    key("convert", Shape::Text, "jq program applied to values on their way into a request."),
    key("transform", Shape::Text, "Old name of `convert`."),
    key("allow_external_schedulers", Shape::Boolean, "Accepted for dlt, does nothing."),
    key("window", Shape::Number, "Splits `initial_value` to `end_value` into windows of this size. Not in dlt."),
];

pub(super) const COLUMN_NAMES: Shape = Shape::Either(&[Shape::Text, Shape::List(&Shape::Text)]);

const RANGE_ENDS: &[&str] = &["open", "closed"];

const FORMAT: Shape = Shape::Either(&[Shape::Choice(&["json", "jsonl", "csv"]), Shape::Tagged(&FORMAT_OBJECT)]);

const FORMAT_OBJECT: Tagged = Tagged {
    name: "format",
    description: "What the body is. Not in dlt.",
    default: None,
    variants: &[
        format(&["json"], "A JSON value.", &[]),
        format(&["jsonl"], "One JSON value a line.", &[]),
        format(&["csv"], "With a header line.", &[&[key("delimiter", Shape::Text, "One character. Default: `,`.")]]),
        format(
            &["xml"],
            "Each element at a path is a record.",
            &[&[required("record_path", Shape::Text, "Path of the elements, such as `/rss/channel/item`.")]],
        ),
    ],
};

const fn format(tags: &'static [&'static str], description: &'static str, keys: &'static [&'static [Key]]) -> Variant {
    Variant { tags, object: Object { name: "format", description, keys, free_prefix: None } }
}
