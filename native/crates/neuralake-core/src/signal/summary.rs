//! What a picture needs of a block: its range, its power, and a coarse envelope.

use super::sample::Sample;

/// Samples behind one point of the envelope: a picture of ten minutes at 160 Hz then reads 1,500 points.
pub const ENVELOPE_SAMPLES: usize = 64;

/// Range and sum of squares of some samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fold {
    /// Lowest sample.
    pub low: f64,
    /// Highest sample.
    pub high: f64,
    /// Sum of squares.
    pub square: f64,
    /// Samples that are numbers.
    pub count: u64,
}

/// A block in few numbers, in the unit of its samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Range; none where no sample is a number.
    pub range: Option<(f64, f64)>,
    /// Root of the mean square of the samples that are numbers.
    pub rms: Option<f64>,
    /// Lowest and highest of each `ENVELOPE_SAMPLES` samples, rounded outward; NaN where none is a number.
    pub envelope: Vec<(f32, f32)>,
}

impl Summary {
    /// Summarise a block.
    #[must_use]
    pub fn of<T: Sample>(samples: &[T]) -> Self {
        let mut envelope = Vec::with_capacity(samples.len().div_ceil(ENVELOPE_SAMPLES));
        let mut all = Fold { low: f64::INFINITY, high: f64::NEG_INFINITY, square: 0.0, count: 0 };
        for part in samples.chunks(ENVELOPE_SAMPLES) {
            let fold = T::fold(part);
            envelope.push(if fold.count == 0 { (f32::NAN, f32::NAN) } else { (floor(fold.low), ceil(fold.high)) });
            all.low = all.low.min(fold.low);
            all.high = all.high.max(fold.high);
            all.square += fold.square;
            all.count += fold.count;
        }
        let is_known = all.count > 0;
        Self {
            range: is_known.then_some((all.low, all.high)),
            rms: is_known.then(|| (all.square / all.count as f64).sqrt()),
            envelope,
        }
    }
}

/// The largest single-precision number that is not above.
fn floor(value: f64) -> f32 {
    let near = value as f32;
    if f64::from(near) > value { near.next_down() } else { near }
}

/// The smallest single-precision number that is not below.
fn ceil(value: f64) -> f32 {
    let near = value as f32;
    if f64::from(near) < value { near.next_up() } else { near }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_block_in_few_numbers() {
        let samples: Vec<i16> = (0..130).collect();
        let summary = Summary::of(&samples);
        assert_eq!(summary.range, Some((0.0, 129.0)));
        assert_eq!(summary.envelope, [(0.0, 63.0), (64.0, 127.0), (128.0, 129.0)]);
        let mean: f64 = samples.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / 130.0;
        assert_eq!(summary.rms, Some(mean.sqrt()));
    }

    #[test]
    fn a_nan_is_passed_by_and_a_block_of_them_has_no_range() {
        let summary = Summary::of(&[f32::NAN, -2.0, 3.0]);
        assert_eq!(summary.range, Some((-2.0, 3.0)));
        assert_eq!(summary.rms, Some((13.0_f64 / 2.0).sqrt()));
        let nothing = Summary::of(&[f64::NAN; 65]);
        assert_eq!((nothing.range, nothing.rms), (None, None));
        assert!(nothing.envelope.iter().all(|(low, high)| low.is_nan() && high.is_nan()));
    }

    #[test]
    fn squares_of_the_extreme_do_not_overflow() {
        assert_eq!(Summary::of(&vec![i16::MIN; 100_000]).rms, Some(32_768.0));
        assert_eq!(Summary::of(&vec![i32::MIN; 1_000]).rms, Some(2_147_483_648.0));
    }

    proptest! {
        #[test]
        fn the_envelope_holds_every_sample(samples in proptest::collection::vec(any::<i32>(), 1..300)) {
            let summary = Summary::of(&samples);
            for (part, (low, high)) in samples.chunks(ENVELOPE_SAMPLES).zip(&summary.envelope) {
                for sample in part {
                    prop_assert!(f64::from(*low) <= f64::from(*sample) && f64::from(*sample) <= f64::from(*high));
                }
            }
        }
    }
}
