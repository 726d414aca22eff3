//! The table "Scalar conversions" of the contract, line by line.

use quarterdeck_api::decode::json::{self, Value};
use quarterdeck_api::decode::place::{Faults, Place};
use quarterdeck_api::decode::scalars::{Bounds, boolean, integer, integer_in, number_where, plain, sized, text, uuid};
use std::fmt::Debug;

#[test]
fn integers() {
    for (json, number) in [
        ("5", 5),
        ("5.0", 5),
        ("-0", 0),
        ("1e2", 100),
        ("true", 1),
        ("false", 0),
        ("\"5\"", 5),
        ("\" 5 \"", 5),
        ("\"+5\"", 5),
        ("\"-5\"", -5),
        ("\"007\"", 7),
        ("\"1_000\"", 1000),
        ("\"5.0\"", 5),
        ("\"5.\"", 5),
        ("9223372036854775807", i64::MAX),
        ("\"-9223372036854775808\"", i64::MIN),
    ] {
        check(json, integer, Ok(number));
    }
    for (json, kind) in [
        ("5.5", "int_from_float"),
        ("\"abc\"", "int_parsing"),
        ("\"\"", "int_parsing"),
        ("\"1e3\"", "int_parsing"),
        ("\"0x10\"", "int_parsing"),
        ("\"1__0\"", "int_parsing"),
        ("\"_1\"", "int_parsing"),
        ("\"1_\"", "int_parsing"),
        ("\"5.5\"", "int_parsing"),
        ("\"+-5\"", "int_parsing"),
        ("\"-\"", "int_parsing"),
        ("\"\u{661}\"", "int_parsing"),
        ("[]", "int_type"),
        ("{}", "int_type"),
        ("null", "int_type"),
        ("NaN", "finite_number"),
        ("Infinity", "finite_number"),
        ("1e400", "finite_number"),
        ("1e30", "int_parsing_size"),
        ("9223372036854775808", "int_parsing_size"),
        ("\"99999999999999999999\"", "int_parsing_size"),
    ] {
        check(json, integer, Err(kind));
    }
}

#[test]
fn bounds_are_named_before_sizes() {
    let small = integer_in(1, 100);
    for (json, expected) in [
        ("1", Ok(1)),
        ("100", Ok(100)),
        ("0", Err("greater_than_equal")),
        ("101", Err("less_than_equal")),
        ("99999999999999999999", Err("less_than_equal")),
        ("-99999999999999999999", Err("greater_than_equal")),
    ] {
        check(json, small, expected);
    }
}

#[test]
fn numbers() {
    let above_zero = number_where(Bounds { above: Some(0.0), ..Bounds::NONE });
    for (json, number) in [
        ("1", 1.0),
        ("0.25", 0.25),
        ("true", 1.0),
        ("\"1.5\"", 1.5),
        ("\" 1e1 \"", 10.0),
        ("5e-324", 5e-324),
        ("1000000000000000000000000000000", 1e30),
    ] {
        check(json, above_zero, Ok(number));
    }
    for (json, kind) in [
        ("0", "greater_than"),
        ("NaN", "greater_than"),
        ("-Infinity", "greater_than"),
        ("1e-400", "greater_than"),
        ("\"nan\"", "greater_than"),
        ("Infinity", "finite_number"),
        ("\"inf\"", "finite_number"),
        ("\"abc\"", "float_parsing"),
        ("\"\"", "float_parsing"),
        ("[]", "float_type"),
        ("null", "float_type"),
    ] {
        check(json, above_zero, Err(kind));
    }
}

#[test]
fn booleans() {
    for json in ["true", "1", "1.0", "\"TRUE\"", "\"t\"", "\"yes\"", "\"Y\"", "\"on\"", "\"1\""] {
        check(json, boolean, Ok(true));
    }
    for json in ["false", "0", "0.0", "-0.0", "\"False\"", "\"f\"", "\"no\"", "\"N\"", "\"off\"", "\"0\""] {
        check(json, boolean, Ok(false));
    }
    for json in ["2", "-1", "2.0", "\"maybe\"", "\" true\"", "\"\"", "\"2\"", "99999999999999999999"] {
        check(json, boolean, Err("bool_parsing"));
    }
    for json in ["0.5", "NaN", "null", "[]", "{}"] {
        check(json, boolean, Err("bool_type"));
    }
}

#[test]
fn texts() {
    check("\" a \"", text, Ok(" a ".to_owned()));
    for json in ["1", "1.5", "true", "null", "[]", "{}", "NaN"] {
        check(json, text, Err("string_type"));
    }
    check(r#""a\u0000b""#, text, Ok("a\0b".to_owned()));
    check(r#""a\u0000b""#, plain, Err("value_error"));
    let short = |value: &Value<'_>, at: &Place<'_>| sized(1..=2, value, at).map(str::to_owned);
    check("\"éé\"", short, Ok("éé".to_owned()));
    check("\"\"", short, Err("string_too_short"));
    check("\"ééé\"", short, Err("string_too_long"));
}

#[test]
fn uuids() {
    let id = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";
    let parsed = id.parse().expect("a UUID");
    for spelling in
        [id.to_owned(), id.to_uppercase(), id.replace('-', ""), format!("{{{id}}}"), format!("urn:uuid:{id}")]
    {
        check(&format!("\"{spelling}\""), uuid, Ok(parsed));
    }
    for json in ["\"\"", "\"abc\"", &format!("\" {id}\""), &format!("\"{id}0\"")] {
        check(json, uuid, Err("uuid_parsing"));
    }
    for json in ["5", "true", "null", "[]"] {
        check(json, uuid, Err("uuid_type"));
    }
}

fn check<T: PartialEq + Debug>(
    json: &str,
    decode: impl Fn(&Value<'_>, &Place<'_>) -> Option<T>,
    expected: Result<T, &str>,
) {
    let faults = Faults::default();
    let decoded = decode(&json::parse(json.as_bytes()).expect("it is JSON"), &faults.root("body"));
    let kinds = faults.into_details().into_iter().map(|fault| fault.kind).collect::<Vec<_>>();
    match expected {
        Ok(value) => assert_eq!((decoded, kinds), (Some(value), vec![]), "{json}"),
        Err(kind) => assert_eq!((decoded, kinds), (None, vec![kind.to_owned()]), "{json}"),
    }
}
