//! Replies that are lists of blocks: thoughts with their signatures, words and calls, in an order that counts. Such a
//! list is kept as it came, with a mark where a call stood, so that it can go back word for word.

use crate::model::{ChatCall, HostMembers, RawCall};
use quarterdeck_api::JsonObject;
use serde_json::{Value, json};

/// The member of what is kept that holds the list.
const LIST: &str = "blocks";
/// In the list: the number of the call that stood here. In a call: its number.
const CALL: &str = "call";

/// Keeps `blocks` and numbers `calls`, which are those of the blocks of which `is_call` holds, in order. None when there
/// is nothing but words and calls in it.
pub(super) fn keep(
    blocks: &[Value],
    calls: &mut [RawCall],
    is_call: impl Fn(&Value) -> bool,
    is_plain: impl Fn(&Value) -> bool,
) -> Option<HostMembers> {
    if blocks.iter().all(|block| is_call(block) || is_plain(block)) {
        return None;
    }
    let mut number = 0..;
    let mut marked = |block: &Value| if is_call(block) { json!({CALL: number.next()}) } else { block.clone() };
    let list: Vec<Value> = blocks.iter().map(&mut marked).collect();
    for (number, call) in calls.iter_mut().enumerate() {
        call.extra.insert(CALL.into(), number.into());
    }
    Some(HostMembers { message: JsonObject::from_iter([(LIST.to_owned(), list.into())]), ..HostMembers::default() })
}

/// The blocks as they came, with `calls` written by `write` where they stood. None when no list was kept.
pub(super) fn restored(
    kept: &HostMembers,
    calls: &[ChatCall],
    write: impl Fn(&ChatCall) -> Value,
) -> Option<Vec<Value>> {
    let list = kept.message.get(LIST)?.as_array()?;
    let numbers: Vec<_> = kept.calls.iter().map(|call| call.get(CALL).and_then(Value::as_u64)).collect();
    let place_of = |number: u64| numbers.iter().position(|known| *known == Some(number));
    let mut blocks = Vec::new();
    for block in list {
        match marked(block) {
            None => blocks.push(block.clone()),
            Some(number) => blocks.extend(place_of(number).and_then(|place| calls.get(place)).map(&write)),
        }
    }
    // What the model wrote into its words instead was made a call as well.
    let written = |place: usize| numbers.get(place).copied().flatten().is_some();
    blocks.extend(calls.iter().enumerate().filter(|(place, _)| !written(*place)).map(|(_, call)| write(call)));
    Some(blocks)
}

fn marked(block: &Value) -> Option<u64> {
    let members = block.as_object().filter(|members| members.len() == 1)?;
    members.get(CALL)?.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_goes_back_as_it_came_with_the_calls_that_were_made() {
        let blocks = [json!({"t": 1}), json!({"c": "a"}), json!({"t": 2}), json!({"c": "b"}), json!({"c": "c"})];
        let mut raw = vec![RawCall::default(); 3];
        let is_call = |block: &Value| block.get("c").is_some();
        let kept = keep(&blocks, &mut raw, is_call, |_| false).unwrap();
        let call = |id: &str| ChatCall { id: id.into(), name: "f".into(), arguments: JsonObject::new() };
        // The second call was not made, and one that was written in words was.
        let kept = HostMembers { calls: vec![raw[0].extra.clone(), raw[2].extra.clone(), JsonObject::new()], ..kept };
        let restored = restored(&kept, &[call("1"), call("3"), call("4")], |call| json!(call.id)).unwrap();
        assert_eq!(restored, [json!({"t": 1}), json!("1"), json!({"t": 2}), json!("3"), json!("4")]);
    }

    #[test]
    fn words_and_calls_alone_need_not_be_kept() {
        let (mut calls, blocks) = (vec![RawCall::default()], [json!({"c": 1}), json!({"w": 1})]);
        assert_eq!(keep(&blocks, &mut calls, |block| block.get("c").is_some(), |_| true), None);
        assert!(calls[0].extra.is_empty());
    }
}
