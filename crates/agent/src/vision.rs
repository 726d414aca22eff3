//! How models see and point: a table by their names, and what the operator says instead.

use quarterdeck_core::{Coordinates, Vision};

/// What the operator says of the model; what is absent is told by its name.
#[derive(Clone, Debug, Default)]
pub struct VisionSettings {
    /// The model that drives agents which name none.
    pub model: Option<String>,
    /// How it names places in pictures.
    pub coordinates: Option<Coordinates>,
    /// Pictures that one request shows it; 0 for a model that reads text only.
    pub images_max: Option<usize>,
}

/// Parts of the names of models that name places in thousandths. All others are taken to use pixels.
const IN_THOUSANDTHS: [&str; 7] = ["holo2", "holo3", "qwen3-vl", "qwen3vl", "qwen3.5", "gemini", "glm-4.5v"];

impl VisionSettings {
    /// How a model sees and points; the server's own if none is named.
    pub(crate) fn of(&self, model: Option<&str>) -> Vision {
        let usual = Vision::default();
        let model = model.or(self.model.as_deref()).unwrap_or_default();
        Vision {
            coordinates: self.coordinates.unwrap_or_else(|| by_name(model)),
            images_max: self.images_max.unwrap_or(usual.images_max),
        }
    }
}

fn by_name(model: &str) -> Coordinates {
    let model = model.to_ascii_lowercase();
    let is_known = IN_THOUSANDTHS.iter().any(|part| model.contains(part));
    if is_known { Coordinates::Thousandths } else { Coordinates::Pixels }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_point_as_they_were_trained_unless_the_operator_says_otherwise() {
        let told = VisionSettings { model: Some("Hcompany/Holo2-8B".into()), ..VisionSettings::default() };
        for (model, coordinates) in [
            (None, Coordinates::Thousandths),
            (Some("holo1.5-7b"), Coordinates::Pixels),
            (Some("Holo3.1-35B"), Coordinates::Thousandths),
            (Some("Qwen/Qwen3-VL-8B-Instruct"), Coordinates::Thousandths),
            (Some("qwen2.5-vl-7b"), Coordinates::Pixels),
            (Some("gpt-5"), Coordinates::Pixels),
        ] {
            assert_eq!(told.of(model).coordinates, coordinates, "{model:?}");
        }
        let own = VisionSettings { coordinates: Some(Coordinates::Fractions), images_max: Some(0), ..told };
        assert_eq!(own.of(Some("holo3")), Vision { coordinates: Coordinates::Fractions, images_max: 0 });
    }
}
