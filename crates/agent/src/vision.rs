//! How models name places in pictures, as far as their names tell.

use quarterdeck_core::Coordinates;

/// How names of models begin whose places are thousandths of the picture, in lower case and without their publisher.
const THOUSANDTHS: [&str; 5] = ["holo2", "holo3", "qwen3", "qwen-3", "gemini"];

/// How a model by this name points; in pixels when nothing else is known.
pub(crate) fn coordinates_of(model: Option<&str>) -> Coordinates {
    let name = model.unwrap_or_default().rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    if THOUSANDTHS.iter().any(|begins| name.starts_with(begins)) {
        Coordinates::Thousandths
    } else {
        Coordinates::Pixels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_model_tells_how_it_points() {
        for name in ["Hcompany/Holo2-8B", "holo3-35b-a3b", "Qwen/Qwen3-VL-8B-Instruct", "gemini-2.5-pro"] {
            assert_eq!(coordinates_of(Some(name)), Coordinates::Thousandths, "{name}");
        }
        for name in ["Hcompany/Holo1.5-7B", "Qwen/Qwen2.5-VL-7B", "gpt-5", ""] {
            assert_eq!(coordinates_of(Some(name)), Coordinates::Pixels, "{name}");
        }
        assert_eq!(coordinates_of(None), Coordinates::Pixels);
    }
}
