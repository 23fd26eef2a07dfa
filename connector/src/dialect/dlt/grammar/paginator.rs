//! The grammar of `paginator`. Must keep dlt's names and defaults.

use super::super::shape::{Key, Object, Shape, Tagged, Variant, key, required};

pub(super) const PAGINATOR: Shape = Shape::Either(&[Shape::Choice(TYPES), Shape::Tagged(&TAGGED)]);

/// A bare type: every field has its default.
const TYPES: &[&str] = &[
    "auto",
    "single_page",
    "json_link",
    "json_response",
    "header_link",
    "header_cursor",
    "cursor",
    "page_number",
    "offset",
];

const TAGGED: Tagged = Tagged {
    name: "paginator",
    description: "How to come from one page to the next.",
    default: None,
    variants: &[
        variant(&["auto"], "Find out from the first response.", &[]),
        variant(&["single_page"], "One request.", &[]),
        variant(
            &["json_link", "json_response"],
            "The body holds the next page's URL. `json_response` is an old name.",
            &[&[key("next_url_path", Shape::Text, "JSONPath to the URL. Default: `next`.")]],
        ),
        variant(
            &["header_link"],
            "The header `Link` holds the next page's URL (RFC 8288).",
            &[&[key("links_next_key", Shape::Text, "The relation to follow. Default: `next`.")]],
        ),
        variant(
            &["header_cursor"],
            "A header of the response holds the next page's cursor.",
            &[&[
                key("cursor_key", Shape::Text, "Name of the header. Default: `next`."),
                key("cursor_param", Shape::Text, "Query parameter that gets the cursor. Default: `cursor`."),
            ]],
        ),
        variant(
            &["cursor"],
            "The body holds the next page's cursor.",
            &[
                &[
                    key("cursor_path", Shape::Text, "JSONPath to the cursor. Default: `cursors.next`."),
                    key("cursor_param", Shape::Text, "Query parameter that gets the cursor. Default: `cursor`."),
                    key("cursor_body_path", Shape::Text, "Dotted path in the JSON body that gets it instead."),
                    key(
                        "stop_after_empty_page",
                        Shape::Boolean,
                        "Whether a page without records ends it. Default: false.",
                    ),
                ],
                HAS_MORE,
            ],
        ),
        variant(
            &["page_number"],
            "Pages are counted.",
            &[
                &[
                    key("base_page", Shape::Integer(i64::MIN), "Number of the API's first page. Default: 0."),
                    key("page", Shape::Integer(i64::MIN), "Page to begin with. Default: `base_page`."),
                    key("page_param", Shape::Text, "Query parameter that gets the number. Default: `page`."),
                    key("page_body_path", Shape::Text, "Dotted path in the JSON body that gets it instead."),
                    key(
                        "total_path",
                        Shape::Text,
                        "JSONPath to the number of pages. Default: `total`, if there is one.",
                    ),
                    key("maximum_page", Shape::Integer(i64::MIN), "Stop before this page."),
                ],
                STOP_AFTER_EMPTY_PAGE,
                HAS_MORE,
            ],
        ),
        variant(
            &["offset"],
            "Records are counted.",
            &[
                &[
                    required("limit", Shape::Integer(1), "Records to ask for on each page."),
                    key("offset", Shape::Integer(0), "Record to begin with. Default: 0."),
                    key("offset_param", Shape::Text, "Query parameter that gets the offset. Default: `offset`."),
                    key("offset_body_path", Shape::Text, "Dotted path in the JSON body that gets it instead."),
                    key("limit_param", Shape::Text, "Query parameter that gets the limit. Default: `limit`."),
                    key("limit_body_path", Shape::Text, "Dotted path in the JSON body that gets it instead."),
                    key(
                        "total_path",
                        Shape::Text,
                        "JSONPath to the number of records. Default: `total`, if there is one.",
                    ),
                    key("maximum_offset", Shape::Integer(i64::MIN), "Stop before this offset."),
                ],
                STOP_AFTER_EMPTY_PAGE,
                HAS_MORE,
            ],
        ),
    ],
};

const STOP_AFTER_EMPTY_PAGE: &[Key] =
    &[key("stop_after_empty_page", Shape::Boolean, "Whether a page without records ends it. Default: true.")];

const HAS_MORE: &[Key] =
    &[key("has_more_path", Shape::Text, "JSONPath to a flag that says whether there are further pages.")];

const fn variant(tags: &'static [&'static str], description: &'static str, keys: &'static [&'static [Key]]) -> Variant {
    Variant { tags, object: Object { name: "paginator", description, keys, free_prefix: None } }
}
