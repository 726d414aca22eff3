//! Every route of the document, knocked at without a key and with another organization's. A route that is added is
//! walked as well: one with a body that no line here knows fails the test.

use crate::app::{Server, TestApp, request, result_of, with_tools};
use reqwest::Method;
use serde_json::{Value, json};

/// An operation of the document.
struct Door {
    name: String,
    method: Method,
    path: String,
    key: Key,
}

/// What the document says of the key.
#[derive(PartialEq)]
enum Key {
    Needed,
    Optional,
    None,
}

#[tokio::test]
async fn every_documented_route_keeps_out_those_without_a_key_and_other_organizations() {
    let server = TestApp::new().start().await;
    let things = Things::create(&server).await;
    let key_of_others = server.other_organizations_key().await;
    let before = things.state(&server).await;
    let doors = doors();
    assert!(doors.len() > 40, "{}", doors.len());
    for door in &doors {
        let path = things.fill_in(&door.path);
        let names_something = path != door.path;
        let knock = |key: Option<&str>| {
            let knock = server.anonymous(door.method.clone(), &path);
            let knock = match Things::body(&door.name, &door.method) {
                Some(body) => knock.json(&body),
                None => knock,
            };
            server.send(key.into_iter().fold(knock, reqwest::RequestBuilder::bearer_auth))
        };
        let nobody = knock(None).await;
        let other = knock(Some(&key_of_others)).await;
        let wrong = knock(Some("hk-wrong")).await;
        match door.key {
            Key::Needed => assert_eq!(nobody.status, 401, "{}: {nobody:?}", door.name),
            Key::Optional if names_something => assert_eq!(nobody.status, 404, "{}: {nobody:?}", door.name),
            Key::Optional | Key::None => assert_ne!(nobody.status, 401, "{}: {nobody:?}", door.name),
        }
        if door.key == Key::None {
            continue;
        }
        assert_eq!((wrong.status, wrong.header("www-authenticate")), (401, Some("Bearer")), "{}", door.name);
        if names_something {
            assert_eq!(other.status, 404, "{}: {other:?}", door.name);
        }
        for answer in [nobody, other] {
            assert!(!Things::are_in(&answer.text, &path), "{}: {answer:?}", door.name);
        }
    }
    assert_eq!(things.state(&server).await, before, "nothing has changed");
    server.stop().await;
}

/// What an organization has, with words that are found nowhere else.
struct Things {
    session: String,
    resource: String,
}

const NAME: &str = "walnut/desk";
/// What whoever knocks may create.
const OTHER: &str = "oak/desk";

impl Things {
    async fn create(server: &Server) -> Self {
        let file = json!({"name": "a.txt", "source": "d2FsbnV0IGZpbGU="});
        let message = json!({"message": "@wait 600s\n@answer late", "files": [file]});
        let session = server.create(json!({"messages": message})).await;
        let text = server.get(&format!("/api/v2/sessions/{session}")).await.text;
        let (_, rest) = text.split_once("/resources/").expect("the file is a resource");
        let resource = rest.split('"').next().unwrap_or_default().to_owned();
        for (collection, body) in
            [("agents", agent(NAME)), ("environments", environment(NAME)), ("skills", skill(NAME))]
        {
            let created = server.post(&format!("/api/v2/{collection}"), body).await;
            assert_eq!(created.status, 201, "{created:?}");
        }
        let things = Self { session, resource };
        let found = server.get(&format!("/api/v2/sessions/{}/resources/{}", things.session, things.resource)).await;
        assert_eq!(found.status, 200, "the owner gets it: {found:?}");
        things
    }

    /// The path with what the organization has in place of its variables.
    fn fill_in(&self, path: &str) -> String {
        let name = NAME.replace('/', "%2F");
        let id = if path.starts_with("/api/v2/sessions") { &self.session } else { &name };
        path.replace("{id}", id)
            .replace("{bucket}/{key}", &self.resource)
            .replace("{event_index}", "0")
            .replace("{agent_name}", &name)
            .replace("{name}", &name)
            .replace("{number}", "1")
    }

    /// A body that is in order.
    fn body(operation: &str, method: &Method) -> Option<Value> {
        let body = match operation {
            "create_session" => request(json!({})),
            "send_session_messages" => json!({"type": "user_message", "message": "hello"}),
            "send_session_tool_results" => result_of(&json!({"tool_name": "ask", "args": {}, "id": "c"})),
            "submit_session_feedback" | "submit_event_feedback" => json!({"success": true}),
            "create_agent" => agent(OTHER),
            "update_agent" => agent(NAME),
            "create_environment" => environment(OTHER),
            "update_environment" => environment(NAME),
            "create_skill" => skill(OTHER),
            "update_skill" => skill(NAME),
            "patch_agent" | "patch_skill" => json!({"description": "Changed."}),
            "patch_environment" => json!({}),
            _ => {
                let takes_none = !takes_body(operation);
                assert!(takes_none, "{method} {operation} takes a body that this test does not know");
                return None;
            }
        };
        Some(body)
    }

    /// Whether an answer holds what is not its reader's; it may repeat the path.
    fn are_in(answer: &str, path: &str) -> bool {
        let answer = answer.replace(path, "");
        answer.contains("walnut file") || answer.contains("Of walnut/desk.") || answer.contains("@wait 600s")
    }

    /// All of it, as its owner reads it.
    async fn state(&self, server: &Server) -> Vec<Value> {
        let id = &self.session;
        let mut state = vec![];
        for path in [
            format!("/api/v2/sessions/{id}"),
            format!("/api/v2/sessions/{id}/events?size=200"),
            format!("/api/v2/agents/{NAME}"),
            format!("/api/v2/environments/{NAME}"),
            format!("/api/v2/skills/{NAME}"),
        ] {
            state.push(server.get(&path).await.json());
        }
        state
    }
}

fn agent(name: &str) -> Value {
    let mut agent = with_tools(&["spare"]);
    agent["name"] = json!(name);
    agent["description"] = json!(format!("Of {name}."));
    agent
}

fn environment(name: &str) -> Value {
    json!({"id": name, "kind": "memory", "namespace": "walnut"})
}

fn skill(name: &str) -> Value {
    json!({"name": name, "description": format!("Of {name}."), "body": "Saw it."})
}

fn document() -> Value {
    serde_json::to_value(quarterdeck_server::document()).expect("the document is JSON")
}

fn takes_body(operation: &str) -> bool {
    operations(&document())
        .any(|(_, _, details)| details["operationId"] == operation && details.get("requestBody").is_some())
}

fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document["paths"].as_object().expect("the document has paths");
    paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().expect("a path has methods");
        methods.iter().map(|(method, details)| (path.as_str(), method.as_str(), details))
    })
}

fn doors() -> Vec<Door> {
    let document = document();
    assert_eq!(document["security"], json!([{"key": []}]), "a key is needed where nothing else is said");
    let door = |(path, method, details): (&str, &str, &Value)| Door {
        name: details["operationId"].as_str().expect("an operation has a name").to_owned(),
        method: method.to_uppercase().parse().expect("a method"),
        path: path.to_owned(),
        key: match details.get("security") {
            None => Key::Needed,
            Some(said) if *said == json!([{}, {"key": []}]) => Key::Optional,
            Some(said) if *said == json!([{}]) => Key::None,
            Some(other) => panic!("unknown security of {path}: {other}"),
        },
    };
    operations(&document).map(door).collect()
}
