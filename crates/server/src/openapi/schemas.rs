//! What the derived schemas do not say by themselves, so that generators make pleasant clients of the document:
//! each type has a name, and the alternatives of a union are told apart by a discriminator.

use std::collections::BTreeMap;
use utoipa::openapi::schema::{
    AdditionalProperties, AnyOf, ArrayItems, Discriminator, Object, ObjectBuilder, OneOf, Schema, SchemaType, Type,
};
use utoipa::openapi::{Ref, RefOr};

const FOLDER: &str = "#/components/schemas/";

/// All schemas by name.
type Schemas = BTreeMap<String, RefOr<Schema>>;

/// Brings all of it in order.
pub(super) fn tidy(schemas: &mut Schemas) {
    tag_messages(schemas);
    refer_to_named(schemas);
    stamp_events(schemas);
    name_alternatives(schemas);
    for schema in schemas.values_mut() {
        visit(schema, &mut allow_overlap);
        visit(schema, &mut open);
    }
}

/// Some say their type, though they need not where nothing else may stand.
fn tag_messages(schemas: &mut Schemas) {
    if let Some(RefOr::T(Schema::Object(message))) = schemas.get_mut("UserMessage") {
        message.properties.insert("type".into(), word("user_message"));
    }
    if let Some(RefOr::T(Schema::OneOf(body))) = schemas.get_mut("ToolResultsBody")
        && let Some(RefOr::T(Schema::Object(batch))) = body.items.last_mut()
    {
        batch.properties.insert("type".into(), word("batch"));
    }
}

/// A text that is always this word.
fn word(word: &str) -> RefOr<Schema> {
    let object = ObjectBuilder::new().schema_type(Type::String).enum_values(Some([word])).default(Some(word.into()));
    object.description(Some("Says what this is.")).into()
}

/// An event is what happened and when. Written as a part common to all alternatives, the time would hide the tag from
/// generators, so each alternative has it.
fn stamp_events(schemas: &mut Schemas) {
    let Some(RefOr::T(Schema::OneOf(mut events))) = schemas.remove("EventData") else { return };
    let Some(RefOr::T(Schema::AllOf(stamped))) = schemas.get_mut("Event") else { return };
    for event in &mut events.items {
        for common in &stamped.items {
            add_properties(event, common);
        }
    }
    events.description = stamped.description.take();
    schemas.insert("Event".to_owned(), RefOr::T(Schema::OneOf(events)));
}

fn add_properties(schema: &mut RefOr<Schema>, more: &RefOr<Schema>) {
    if let (RefOr::T(Schema::Object(object)), RefOr::T(Schema::Object(more))) = (schema, more) {
        object.properties.extend(more.properties.clone());
        object.required.extend(more.required.clone());
    }
}

/// Puts a reference wherever a schema that has a name is written out: a generic type holds copies of its arguments.
fn refer_to_named(schemas: &mut Schemas) {
    let named: Vec<_> = schemas.iter().filter(|(_, schema)| is_large(schema)).map(named).collect();
    for (own, schema) in schemas {
        visit(schema, &mut |schema| {
            let same = |(name, known): &&(String, RefOr<Schema>)| name != own && *known == undescribed(schema);
            if is_large(schema)
                && let Some((name, _)) = named.iter().find(same)
            {
                *schema = Ref::new(format!("{FOLDER}{name}")).into();
            }
        });
    }
}

fn named((name, schema): (&String, &RefOr<Schema>)) -> (String, RefOr<Schema>) {
    (name.clone(), undescribed(schema))
}

/// Small ones may be equal by chance.
#[expect(clippy::wildcard_enum_match_arm, reason = "few kinds of schema matter here")]
fn is_large(schema: &RefOr<Schema>) -> bool {
    match schema {
        RefOr::T(Schema::Object(object)) => !object.properties.is_empty(),
        RefOr::T(Schema::OneOf(_) | Schema::AllOf(_)) => true,
        _ => false,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "few kinds of schema have a description")]
fn undescribed(schema: &RefOr<Schema>) -> RefOr<Schema> {
    let mut schema = schema.clone();
    match &mut schema {
        RefOr::T(Schema::Object(object)) => (object.description, object.example) = (None, None),
        RefOr::T(Schema::OneOf(union)) => (union.description, union.example) = (None, None),
        RefOr::T(Schema::AllOf(parts)) => (parts.description, parts.example) = (None, None),
        _ => {}
    }
    schema
}

/// Names the alternatives of each union that has a tag: `Environment_web`.
fn name_alternatives(schemas: &mut Schemas) {
    let mut alternatives = Schemas::new();
    for (name, schema) in schemas.iter_mut() {
        if let RefOr::T(Schema::OneOf(union)) = schema
            && let Some((tag, words)) = tagged(union)
        {
            let names: Vec<_> = words.iter().map(|word| format!("{name}_{word}")).collect();
            let places = names.iter().map(|name| format!("{FOLDER}{name}"));
            let references: Vec<_> = places.clone().map(|place| RefOr::from(Ref::new(place))).collect();
            let written_out = std::mem::replace(&mut union.items, references);
            alternatives.extend(names.iter().cloned().zip(written_out));
            union.discriminator = Some(Discriminator::with_mapping(tag, words.into_iter().zip(places)));
        }
    }
    schemas.extend(alternatives);
}

/// The tag of a union and its word for each alternative; none when an alternative has no such tag.
fn tagged(union: &OneOf) -> Option<(String, Vec<String>)> {
    let mut tags = union.items.iter().map(tag);
    let (tag, first) = tags.next()??;
    let rest = tags.map(|found| found.and_then(|(name, word)| (name == tag).then_some(word)));
    let words = std::iter::once(Some(first)).chain(rest).collect::<Option<_>>()?;
    Some((tag, words))
}

/// The property that can have one value only, and that value.
#[expect(clippy::wildcard_enum_match_arm, reason = "few kinds of schema have properties")]
fn tag(alternative: &RefOr<Schema>) -> Option<(String, String)> {
    match alternative {
        RefOr::T(Schema::Object(object)) => object.properties.iter().find_map(|(name, schema)| match schema {
            RefOr::T(Schema::Object(Object { enum_values: Some(words), .. })) => match words.as_slice() {
                [serde_json::Value::String(word)] => Some((name.clone(), word.clone())),
                _ => None,
            },
            _ => None,
        }),
        RefOr::T(Schema::AllOf(parts)) => parts.items.iter().find_map(tag),
        _ => None,
    }
}

/// Where one alternative takes any object, an object may fit several.
fn allow_overlap(schema: &mut RefOr<Schema>) {
    if let RefOr::T(Schema::OneOf(union)) = schema
        && union.items.len() > 2
        && union.items.iter().any(takes_any_object)
    {
        let any = AnyOf {
            items: std::mem::take(&mut union.items),
            description: union.description.take(),
            ..AnyOf::default()
        };
        *schema = RefOr::T(Schema::AnyOf(any));
    }
}

/// An object of which nothing is said may hold anything. Generators want to hear that.
fn open(schema: &mut RefOr<Schema>) {
    if takes_any_object(schema)
        && let RefOr::T(Schema::Object(object)) = schema
        && object.additional_properties.is_none()
    {
        object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(true)));
    }
}

fn takes_any_object(schema: &RefOr<Schema>) -> bool {
    matches!(schema, RefOr::T(Schema::Object(object))
        if object.properties.is_empty() && is_object(&object.schema_type))
}

fn is_object(kind: &SchemaType) -> bool {
    match kind {
        SchemaType::Type(kind) => *kind == Type::Object,
        SchemaType::Array(kinds) => kinds.contains(&Type::Object),
        SchemaType::AnyValue => false,
    }
}

/// Shows every schema below to `change`, the innermost first, and then the schema itself.
fn visit(schema: &mut RefOr<Schema>, change: &mut impl FnMut(&mut RefOr<Schema>)) {
    if let RefOr::T(schema) = schema {
        for inner in inside(schema) {
            visit(inner, change);
        }
    }
    change(schema);
}

fn inside(schema: &mut Schema) -> Vec<&mut RefOr<Schema>> {
    match schema {
        Schema::Array(array) => match &mut array.items {
            ArrayItems::RefOrSchema(items) => vec![items],
            ArrayItems::False => vec![],
        },
        Schema::Object(object) => {
            let values = match object.additional_properties.as_deref_mut() {
                Some(AdditionalProperties::RefOr(values)) => Some(values),
                _ => None,
            };
            object.properties.values_mut().chain(values).collect()
        }
        Schema::OneOf(union) => union.items.iter_mut().collect(),
        Schema::AllOf(parts) => parts.items.iter_mut().collect(),
        Schema::AnyOf(union) => union.items.iter_mut().collect(),
        _ => vec![],
    }
}
