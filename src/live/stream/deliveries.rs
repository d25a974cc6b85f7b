//! What a stream's receivers were sent, and what those were sent who have left.

use crate::live::Millis;
use crate::live::byte_rate::ByteRate;
use crate::live::report::{Delivered, StreamReport, Viewers};

/// See the module's documentation. Lives as long as the stream.
#[derive(Default)]
pub(super) struct Deliveries {
    rate: ByteRate,
    /// The bytes that are counted in `rate`.
    rated: u64,
    /// What was fetched, and sent to receivers that have left.
    past: Delivered,
    peak_viewers: usize,
}

impl Deliveries {
    /// Notes how many viewers there are, by HLS or not.
    pub(super) fn note_viewers(&mut self, count: usize) {
        self.peak_viewers = self.peak_viewers.max(count);
    }

    /// Notes what a receiver was sent that has left.
    pub(super) fn note_left(&mut self, delivered: Delivered) {
        self.past.add(delivered);
    }

    /// Notes how many bytes the present receivers were sent in total.
    pub(super) fn note_sent(&mut self, bytes: u64, now: Millis) {
        // The sum only grows: what a receiver was sent moves from `bytes` to `past` when it leaves.
        let total = self.past.bytes + bytes;
        self.rate.add(total.saturating_sub(self.rated), now);
        self.rated = total;
    }

    /// Notes how many bytes were fetched.
    pub(super) fn note_fetched(&mut self, bytes: u64, now: Millis) {
        self.past.bytes += bytes;
        self.rated += bytes;
        self.rate.add(bytes, now);
    }

    /// Completes a report with what was sent to these viewers and earlier ones.
    pub(super) fn complete(
        &self,
        report: StreamReport,
        viewers: Viewers,
        now: Millis,
    ) -> StreamReport {
        let mut all = self.past;
        all.add(viewers.delivered);
        let age = now.saturating_sub(report.since);
        StreamReport {
            bytes_out: all.bytes,
            bits_out: self.rate.bits_per_second(age, now),
            skips: all.skips.into(),
            skipped_messages: all.skipped_messages,
            peak_viewers: self.peak_viewers,
            viewers,
            ..report
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::report::ViewerReport;

    #[test]
    fn bytes_out_are_those_of_all_who_played() {
        let mut deliveries = Deliveries::default();
        let delivered = |bytes| Delivered {
            bytes,
            skips: 2,
            skipped_messages: 5,
        };
        deliveries.note_viewers(2);
        deliveries.note_sent(5_000, 500);
        deliveries.note_left(delivered(4_000));
        deliveries.note_viewers(1);
        deliveries.note_sent(2_000, 1_500);
        let mut viewers = Viewers::default();
        viewers.add(&ViewerReport {
            id: 1,
            connection: 1,
            protocol: "rtmp",
            since: 0,
            delivered: delivered(2_000),
            lag: 0,
        });
        let report = deliveries.complete(StreamReport::default(), viewers, 2_000);
        assert_eq!(report.bytes_out, 6_000);
        assert_eq!((report.skips, report.skipped_messages), (4, 10));
        assert_eq!(report.bits_out, 6_000 * 8 / 2);
        assert_eq!(report.peak_viewers, 2);
    }
}
