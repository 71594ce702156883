//! The OpenAPI document, made from the same lists of words that questions are read by.

use serde_json::{Value, json};

use super::words::{Dimension, Metric};

/// Every path, with its methods: what the document describes and the routes answer.
pub const PATHS: [(&str, &[&str]); 8] = [
    ("query", &["post"]),
    ("sites", &["get"]),
    ("realtime", &["get"]),
    ("funnel", &["post"]),
    ("export", &["get", "post"]),
    ("crashes", &["get"]),
    ("shares", &["post"]),
    ("openapi.json", &["get"]),
];

fn problem(description: &str) -> Value {
    json!({
        "description": description,
        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    })
}

fn answers(description: &str, media: &str, schema: Value) -> Value {
    let media = media.to_owned();
    json!({
        "200": { "description": description, "content": { media: { "schema": schema } } },
        "400": problem("A field is wrong; `field` says which."),
        "401": problem("The token is missing, wrong or expired."),
        "403": problem("The share link is not for this."),
        "404": problem("No such site or path."),
        "413": problem("The body is too large."),
        "422": problem("The question is too large, or its answer beside an earlier one would tell of few visitors."),
        "429": problem("Too many questions at one time."),
        "503": problem("The database is away."),
    })
}

fn operation(id: &str, summary: &str, body: Option<&str>, parameters: &[&str], answers: &Value) -> Value {
    let parameter = |name: &&str| {
        let needed = *name == "site";
        json!({ "name": name, "in": "query", "required": needed, "schema": { "type": "string" } })
    };
    let mut operation = json!({
        "operationId": id, "summary": summary, "responses": answers,
        "parameters": parameters.iter().map(parameter).collect::<Vec<_>>(),
    });
    if let Some(schema) = body {
        let schema = json!({ "$ref": format!("#/components/schemas/{schema}") });
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": schema } } });
    }
    operation
}

/// The document.
pub fn document() -> Value {
    let object = || json!({ "type": "object" });
    let reference = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let json_answers = |description: &str, schema: Value| answers(description, "application/json", schema);
    let export = answers("The file, sent as it is written.", "text/csv", json!({ "type": "string" }));
    let metrics: Vec<String> = Metric::all().into_iter().map(Metric::name).collect();
    let mut dimensions = Dimension::names();
    dimensions.push("time");
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Consentry statistics",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Figures of many visitors, never of few. Metrics and dimensions are those of the Plausible Stats API v2 where \
                            the meaning is the same. A group of fewer than k visitors is withheld and counted; a metric that counts fewer \
                            than k of a group's visitors is null. Where what is withheld has fewer than k visitors together, the smallest \
                            group that could be shown is withheld with it, in each slice of an answer by several dimensions.",
        },
        "security": [{ "token": [] }],
        "paths": {
            "/v1/stats/query": { "post": operation("query", "Figures by dimensions", Some("Query"), &[], &json_answers("The figures.", reference("QueryAnswer"))) },
            "/v1/stats/sites": { "get": operation("sites", "The sites", None, &[], &json_answers("The sites.", object())) },
            "/v1/stats/realtime": { "get": operation("realtime", "The last half hour", None, &["site"], &json_answers("Visitors, page views by minute, pages; `as_of` is the end of the half hour, which stands still while fewer than k visitors come or go. `withheld` says why nothing is told: `few`, or `difference`.", object())) },
            "/v1/stats/funnel": { "post": operation("funnel", "Visits that did one thing after the other", Some("Funnel"), &[], &json_answers("Visits at each step; null where fewer than k visitors came to it, or stayed behind between it and a step that is told.", object())) },
            "/v1/stats/export": {
                "get": operation("export_link", "The same as a link: the query as JSON in `query`", None, &["query", "format"], &export),
                "post": operation("export", "A question's groups as CSV, JSON Lines or Parquet", Some("Export"), &[], &export),
            },
            "/v1/stats/crashes": { "get": operation("crashes", "Crashes that at least k visitors met; filters as JSON", None, &["site", "date_range", "filters"], &json_answers("The crashes.", object())) },
            "/v1/stats/shares": { "post": operation("share", "Make a link that reads one site until it ends", Some("Share"), &[], &json_answers("The link.", object())) },
            "/v1/stats/shares/{id}": { "delete": {
                "operationId": "end_share", "summary": "End a link", "responses": json_answers("It is ended.", object()),
                "parameters": [{ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } }],
            } },
            "/v1/stats/openapi.json": { "get": operation("openapi", "This document", None, &[], &json_answers("The document.", object())) },
        },
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer", "description": "The admin token, or that of a share. Where none is configured, the address is this machine's alone." } },
            "schemas": {
                "Metric": { "type": "string", "enum": metrics },
                "Dimension": { "type": "string", "enum": dimensions },
                "DateRange": {
                    "description": "In the site's time zone. Two dates are both part of it; times are widened to quarters of an hour.",
                    "oneOf": [
                        { "type": "string", "enum": ["day", "7d", "28d", "30d", "91d", "month", "6mo", "12mo", "year", "all"] },
                        { "type": "array", "items": { "type": "string" }, "minItems": 2, "maxItems": 2 },
                    ],
                },
                "Filter": {
                    "description": "[\"is\", \"visit:channel\", [\"Direct\"]], also is_not, contains, contains_not, matches, matches_not (RE2), with \
                                    {\"case_sensitive\": false} as a fourth; [\"and\", [..]], [\"or\", [..]], [\"not\", ..]",
                    "type": "array", "minItems": 2, "maxItems": 4,
                },
                "Query": {
                    "type": "object", "required": ["site", "metrics", "date_range"], "additionalProperties": false,
                    "properties": {
                        "site": { "type": "string" }, "site_id": { "type": "string" },
                        "metrics": { "type": "array", "items": reference("Metric"), "minItems": 1 },
                        "date_range": reference("DateRange"),
                        "dimensions": { "type": "array", "items": reference("Dimension"), "maxItems": 4 },
                        "filters": { "type": "array", "items": reference("Filter") },
                        "include": { "type": "object", "properties": {
                            "time_labels": { "type": "boolean" }, "total_rows": { "type": "boolean" },
                            "comparisons": { "type": "object", "properties": {
                                "mode": { "type": "string", "enum": ["previous_period", "year_over_year", "custom"] },
                                "date_range": reference("DateRange"),
                            } },
                        } },
                        "order_by": { "type": "array", "items": { "type": "array", "items": { "type": "string" }, "minItems": 2, "maxItems": 2 } },
                        "pagination": { "type": "object", "properties": {
                            "limit": { "type": "integer", "minimum": 1, "maximum": 10000 }, "offset": { "type": "integer", "minimum": 0 },
                        } },
                    },
                },
                "Export": { "allOf": [reference("Query"), { "type": "object", "properties": { "format": { "type": "string", "enum": ["csv", "jsonl", "parquet"] } } }] },
                "Funnel": {
                    "type": "object", "required": ["site", "date_range", "steps"], "additionalProperties": false,
                    "properties": {
                        "site": { "type": "string" }, "site_id": { "type": "string" }, "date_range": reference("DateRange"),
                        "steps": { "type": "array", "minItems": 1, "maxItems": 10, "items": { "type": "object", "properties": {
                            "page": { "type": "string" }, "event": { "type": "string" }, "point": { "type": "string" },
                        }, "minProperties": 1, "maxProperties": 1 } },
                        "window_s": { "type": "integer", "minimum": 1, "maximum": 86400, "default": 1800 },
                        "filters": { "type": "array", "items": reference("Filter") },
                    },
                },
                "Share": {
                    "type": "object", "required": ["site", "expires_in_s"], "additionalProperties": false,
                    "properties": {
                        "site": { "type": "string" }, "site_id": { "type": "string" }, "date_range": reference("DateRange"),
                        "expires_in_s": { "type": "integer", "minimum": 1 }, "epsilon": { "type": "number", "minimum": 0.01, "maximum": 100 },
                    },
                },
                "QueryAnswer": {
                    "type": "object", "required": ["results", "meta", "query", "completeness"],
                    "properties": {
                        "results": { "type": "array", "items": { "type": "object", "required": ["dimensions", "metrics"], "properties": {
                            "dimensions": { "type": "array", "items": { "type": "string" } },
                            "metrics": { "type": "array", "items": { "type": ["number", "null"] } },
                            "comparison": object(),
                        } } },
                        "meta": object(), "query": object(), "completeness": reference("Completeness"),
                    },
                },
                "Completeness": { "type": "object", "description": "What became of the events that were received in the period.", "properties": {
                    "received": { "type": "integer" }, "stored": { "type": "integer" }, "in_flight": { "type": "integer" },
                    "quarantined": { "type": "integer" }, "rejected": { "type": "integer" }, "dropped": object(),
                    "share_stored": { "type": ["number", "null"] }, "share_consented": { "type": ["number", "null"] },
                } },
                "Problem": { "type": "object", "required": ["error"], "properties": { "error": {
                    "type": "object", "required": ["code", "message"],
                    "properties": { "code": { "type": "string" }, "message": { "type": "string" }, "field": { "type": "string" } },
                } } },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_every_path_with_its_methods() {
        let document = document();
        let paths = document["paths"].as_object().unwrap();
        assert_eq!(paths.len(), PATHS.len() + 1, "and one to end a share");
        for (path, methods) in PATHS {
            let described: Vec<&String> =
                paths[&format!("/v1/stats/{path}")].as_object().unwrap().keys().collect();
            assert_eq!(described, methods, "{path}");
        }
    }
}
