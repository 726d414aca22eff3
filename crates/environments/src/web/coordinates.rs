//! Where a model means: its numbers in the convention that it was trained on, as pixels of the page's visible part.

use quarterdeck_core::Coordinates;

/// What the largest number along a side of this many pixels is.
pub(crate) fn max(coordinates: Coordinates, side: u32) -> f64 {
    match coordinates {
        Coordinates::Pixels => f64::from(side.saturating_sub(1)),
        Coordinates::Thousandths => 1_000.0,
        Coordinates::Fractions => 1.0,
    }
}

/// How positions are explained to the model.
pub(crate) fn explained(coordinates: Coordinates, size: Size) -> String {
    let [right, bottom] = [size.width, size.height].map(|side| side.saturating_sub(1));
    match coordinates {
        Coordinates::Pixels => format!("in pixels from the top left: x from 0 to {right}, y from 0 to {bottom}"),
        Coordinates::Thousandths => "in thousandths of width and height from the top left, from 0 to 1000 each".into(),
        Coordinates::Fractions => "as fractions of width and height from the top left, from 0 to 1 each".into(),
    }
}

/// The pixel that is meant, within the visible part. `x` and `y` are within 0 and [`max`].
pub(crate) fn pixel(coordinates: Coordinates, x: f64, y: f64, size: Size) -> Point {
    let is_fraction = |value: f64| (0.0..=1.0).contains(&value);
    // Models of the 0 to 1000 kind now and then write a fraction. A whole 0 or 1 is a thousandth.
    let slipped = is_fraction(x) && is_fraction(y) && (x.fract() != 0.0 || y.fract() != 0.0);
    let meant = if coordinates == Coordinates::Thousandths && slipped { Coordinates::Fractions } else { coordinates };
    let along = |value, side: u32| length(meant, value, side).floor().clamp(0.0, f64::from(side.saturating_sub(1)));
    Point { x: along(x, size.width), y: along(y, size.height) }
}

/// A length along a side, in pixels.
pub(crate) fn length(coordinates: Coordinates, value: f64, side: u32) -> f64 {
    match coordinates {
        Coordinates::Pixels => value,
        Coordinates::Thousandths => value * f64::from(side) / 1_000.0,
        Coordinates::Fractions => value * f64::from(side),
    }
}

/// A position as the model writes it, of a pixel's middle.
pub(crate) fn written(coordinates: Coordinates, at: Point, size: Size) -> (f64, f64) {
    let along = |value: f64, side: u32| match coordinates {
        Coordinates::Pixels => value,
        Coordinates::Thousandths => ((value + 0.5) / f64::from(side) * 1_000.0).round(),
        Coordinates::Fractions => ((value + 0.5) / f64::from(side) * 10_000.0).round() / 10_000.0,
    };
    (along(at.x, size.width), along(at.y, size.height))
}

/// A width and a height, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// A place in the visible part of a page, in whole pixels from the top left.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "({}, {})", self.x, self.y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { width: 1_200, height: 800 };
    const ALL: [Coordinates; 3] = [Coordinates::Pixels, Coordinates::Thousandths, Coordinates::Fractions];

    #[test]
    fn each_convention_reaches_every_corner_and_never_leaves_the_page() {
        for convention in ALL {
            let corner = pixel(convention, max(convention, SIZE.width), max(convention, SIZE.height), SIZE);
            assert_eq!(corner, Point { x: 1_199.0, y: 799.0 }, "{convention:?}");
            assert_eq!(pixel(convention, 0.0, 0.0, SIZE), Point { x: 0.0, y: 0.0 }, "{convention:?}");
        }
        let middle = Point { x: 600.0, y: 400.0 };
        assert_eq!(pixel(Coordinates::Pixels, 600.4, 400.9, SIZE), middle);
        assert_eq!(pixel(Coordinates::Thousandths, 500.0, 500.0, SIZE), middle);
        assert_eq!(pixel(Coordinates::Fractions, 0.5, 0.5, SIZE), middle);
    }

    #[test]
    fn a_fraction_among_thousandths_is_a_fraction() {
        assert_eq!(pixel(Coordinates::Thousandths, 0.25, 0.5, SIZE), Point { x: 300.0, y: 400.0 });
        assert_eq!(pixel(Coordinates::Thousandths, 1.0, 1.0, SIZE), Point { x: 1.0, y: 0.0 });
        assert_eq!(pixel(Coordinates::Pixels, 0.25, 0.5, SIZE), Point { x: 0.0, y: 0.0 });
    }

    #[test]
    fn what_is_written_is_read_as_the_same_place() {
        for convention in ALL {
            for x in (0..SIZE.width).step_by(7) {
                let at = Point { x: f64::from(x), y: f64::from(x / 2) };
                let (written_x, written_y) = written(convention, at, SIZE);
                let read = pixel(convention, written_x, written_y, SIZE);
                assert!((read.x - at.x).abs() <= 1.0 && (read.y - at.y).abs() <= 1.0, "{convention:?} {at} {read}");
            }
        }
    }
}
