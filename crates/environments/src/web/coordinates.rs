//! Where a model means: its numbers in the convention that it was trained on, as pixels of the page's visible part.

use quarterdeck_core::Coordinates;

/// How a model's positions stand for places in the visible part of a page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pointing {
    convention: Coordinates,
    /// The visible part of the page.
    page: Size,
    /// The picture that the model is shown of it.
    picture: Size,
}

impl Pointing {
    /// For pages of which `page` is visible, shown by pictures whose longer side is at most `side_max`.
    pub(crate) fn new(convention: Coordinates, page: Size, side_max: Option<u32>) -> Self {
        let scale = scale(page, side_max);
        let [width, height] = [page.width, page.height].map(|side| scaled(side, scale));
        Self { convention, page, picture: Size { width, height } }
    }

    /// What is visible of a page.
    pub(crate) fn page(&self) -> Size {
        self.page
    }

    /// What the largest numbers from left to right and from top to bottom are.
    pub(crate) fn max(&self) -> (f64, f64) {
        let max = |side: u32| match self.convention {
            Coordinates::Pixels => f64::from(side.saturating_sub(1)),
            Coordinates::Thousandths => 1_000.0,
            Coordinates::Fractions => 1.0,
        };
        (max(self.picture.width), max(self.picture.height))
    }

    /// How positions are explained to the model.
    pub(crate) fn explained(&self) -> String {
        let (right, bottom) = self.max();
        match self.convention {
            Coordinates::Pixels => format!("in pixels from the top left: x from 0 to {right}, y from 0 to {bottom}"),
            Coordinates::Thousandths => {
                "in thousandths of width and height from the top left, from 0 to 1000 each".into()
            }
            Coordinates::Fractions => "as fractions of width and height from the top left, from 0 to 1 each".into(),
        }
    }

    /// The place that is meant, in whole pixels of the page. `x` and `y` are within 0 and [`Self::max`].
    pub(crate) fn place(&self, x: f64, y: f64) -> Point {
        let is_fraction = |value: f64| (0.0..=1.0).contains(&value);
        // Models of the 0 to 1000 kind now and then write a fraction. A whole 0 or 1 is a thousandth.
        let slipped = is_fraction(x) && is_fraction(y) && (x.fract() != 0.0 || y.fract() != 0.0);
        let is_slip = self.convention == Coordinates::Thousandths && slipped;
        let meant = if is_slip { Coordinates::Fractions } else { self.convention };
        let along = |value: f64, page: u32, picture: u32| {
            // A pixel of a smaller picture is several of the page; its middle is meant.
            let value = if meant == Coordinates::Pixels && page != picture { value + 0.5 } else { value };
            length(meant, value, page, picture).floor().clamp(0.0, f64::from(page.saturating_sub(1)))
        };
        Point { x: along(x, self.page.width, self.picture.width), y: along(y, self.page.height, self.picture.height) }
    }

    /// A length from left to right, in pixels of the page.
    pub(crate) fn width(&self, value: f64) -> f64 {
        length(self.convention, value, self.page.width, self.picture.width)
    }

    /// A length from top to bottom, in pixels of the page.
    pub(crate) fn height(&self, value: f64) -> f64 {
        length(self.convention, value, self.page.height, self.picture.height)
    }

    /// A position as the model writes it, of a pixel's middle.
    pub(crate) fn written(&self, at: Point) -> (f64, f64) {
        let along = |value: f64, page: u32, picture: u32| match self.convention {
            Coordinates::Pixels if page == picture => value,
            Coordinates::Pixels => ((value + 0.5) / f64::from(page) * f64::from(picture)).floor(),
            Coordinates::Thousandths => ((value + 0.5) / f64::from(page) * 1_000.0).round(),
            Coordinates::Fractions => ((value + 0.5) / f64::from(page) * 10_000.0).round() / 10_000.0,
        };
        (along(at.x, self.page.width, self.picture.width), along(at.y, self.page.height, self.picture.height))
    }
}

fn length(convention: Coordinates, value: f64, page: u32, picture: u32) -> f64 {
    match convention {
        Coordinates::Pixels => value * f64::from(page) / f64::from(picture.max(1)),
        Coordinates::Thousandths => value * f64::from(page) / 1_000.0,
        Coordinates::Fractions => value * f64::from(page),
    }
}

/// By how much a picture is made smaller, so that its longer side has at most `side_max` pixels.
pub(crate) fn scale(page: Size, side_max: Option<u32>) -> f64 {
    let longer = page.width.max(page.height).max(1);
    side_max.map_or(1.0, |side_max| (f64::from(side_max) / f64::from(longer)).min(1.0))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a side")]
fn scaled(side: u32, scale: f64) -> u32 {
    ((f64::from(side) * scale).round() as u32).max(1)
}

/// A part of the visible part of a page, in its pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Area {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

impl Area {
    /// Around a place, moved into the page where it would reach beyond it.
    pub(crate) fn around(at: Point, width: f64, height: f64, page: Size) -> Self {
        let (page_width, page_height) = (f64::from(page.width), f64::from(page.height));
        let (width, height) = (width.clamp(AREA_MIN, page_width), height.clamp(AREA_MIN, page_height));
        let along = |middle: f64, length: f64, max: f64| (middle - length / 2.0).clamp(0.0, max - length).round();
        Self { x: along(at.x, width, page_width), y: along(at.y, height, page_height), width, height }
    }
}

impl Area {
    /// Its place at the top left.
    pub(crate) fn first(&self) -> Point {
        Point { x: self.x, y: self.y }
    }

    /// Its place at the bottom right.
    pub(crate) fn last(&self) -> Point {
        Point { x: self.x + self.width - 1.0, y: self.y + self.height - 1.0 }
    }
}

impl std::fmt::Display for Area {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the part from {} to {}", self.first(), self.last())
    }
}

/// Pixels of a side of an area.
const AREA_MIN: f64 = 20.0;

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

    fn pointing(convention: Coordinates) -> Pointing {
        Pointing::new(convention, SIZE, None)
    }

    #[test]
    fn each_convention_reaches_every_corner_and_never_leaves_the_page() {
        for convention in ALL {
            let pointing = pointing(convention);
            let (right, bottom) = pointing.max();
            assert_eq!(pointing.place(right, bottom), Point { x: 1_199.0, y: 799.0 }, "{convention:?}");
            assert_eq!(pointing.place(0.0, 0.0), Point { x: 0.0, y: 0.0 }, "{convention:?}");
        }
        let middle = Point { x: 600.0, y: 400.0 };
        assert_eq!(pointing(Coordinates::Pixels).place(600.4, 400.9), middle);
        assert_eq!(pointing(Coordinates::Thousandths).place(500.0, 500.0), middle);
        assert_eq!(pointing(Coordinates::Fractions).place(0.5, 0.5), middle);
    }

    #[test]
    fn a_fraction_among_thousandths_is_a_fraction() {
        let thousandths = pointing(Coordinates::Thousandths);
        assert_eq!(thousandths.place(0.25, 0.5), Point { x: 300.0, y: 400.0 });
        assert_eq!(thousandths.place(1.0, 1.0), Point { x: 1.0, y: 0.0 });
        assert_eq!(pointing(Coordinates::Pixels).place(0.25, 0.5), Point { x: 0.0, y: 0.0 });
    }

    #[test]
    fn what_is_written_is_read_as_the_same_place() {
        for (convention, side_max, off) in
            ALL.into_iter().flat_map(|convention| [(convention, None, 1.0), (convention, Some(700), 2.0)])
        {
            let pointing = Pointing::new(convention, SIZE, side_max);
            for x in (0..SIZE.width).step_by(7) {
                let at = Point { x: f64::from(x), y: f64::from(x / 2) };
                let (written_x, written_y) = pointing.written(at);
                let (right, bottom) = pointing.max();
                assert!(written_x <= right && written_y <= bottom, "{convention:?} {at}");
                let read = pointing.place(written_x, written_y);
                assert!((read.x - at.x).abs() <= off && (read.y - at.y).abs() <= off, "{convention:?} {at} {read}");
            }
        }
    }

    #[test]
    fn pixels_are_those_of_the_picture_that_is_shown() {
        let pointing = Pointing::new(Coordinates::Pixels, SIZE, Some(600));
        assert_eq!(pointing.max(), (599.0, 399.0));
        assert_eq!(pointing.place(300.0, 200.0), Point { x: 601.0, y: 401.0 });
        assert_eq!((pointing.width(100.0), pointing.height(10.0)), (200.0, 20.0));
        assert_eq!(Pointing::new(Coordinates::Pixels, SIZE, Some(5_000)).max(), (1_199.0, 799.0));
        let Point { x, y } = Pointing::new(Coordinates::Thousandths, SIZE, Some(600)).place(500.0, 500.0);
        assert_eq!(Point { x, y: 0.0 }, Point { x: 600.0, y: 0.0 }, "{y}");
    }

    #[test]
    fn an_area_stays_within_the_page() {
        let area = |x, y, width, height| {
            let Area { x, y, width, height } = Area::around(Point { x, y }, width, height, SIZE);
            (x, y, width, height)
        };
        assert_eq!(area(600.0, 400.0, 200.0, 100.0), (500.0, 350.0, 200.0, 100.0));
        assert_eq!(area(0.0, 799.0, 200.0, 100.0), (0.0, 700.0, 200.0, 100.0));
        assert_eq!(area(5.0, 5.0, 9_000.0, 0.0), (0.0, 0.0, 1_200.0, 20.0));
    }
}
