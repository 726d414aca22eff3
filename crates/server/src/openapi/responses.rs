//! Answers that any route may give, so that no route lists them.

use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, PathItem, Paths};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Ref, Response, ResponseBuilder};

const API: &str = "/api/v2/";

/// Adds what is not said already.
pub(super) fn add_common(paths: &mut Paths) {
    for (path, item) in &mut paths.paths {
        for operation in operations(item) {
            if path.starts_with(API) {
                add(
                    operation,
                    "400",
                    fault("The request cannot be read: what should be UTF-8 is not, or it ended early."),
                );
                add(operation, "503", unavailable());
            }
            if operation.request_body.is_some() {
                add(operation, "408", fault("The body did not arrive in time."));
                add(operation, "413", fault("The body is too large."));
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete].into_iter().flatten()
}

fn add(operation: &mut Operation, status: &str, response: Response) {
    operation.responses.responses.entry(status.to_owned()).or_insert_with(|| response.into());
}

fn fault(description: &str) -> Response {
    let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody"))).build();
    ResponseBuilder::new().description(description).content("application/json", body).build()
}

fn unavailable() -> Response {
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).build();
    let header =
        HeaderBuilder::new().schema(Some(seconds)).description(Some("Seconds until a try makes sense.")).build();
    let mut response = fault("The server cannot do this right now, for instance because its database is away.");
    response.headers.insert("Retry-After".to_owned(), header.into());
    response
}
