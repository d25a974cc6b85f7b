//! HLS from encoders that don't keep the pace that others keep.

use super::*;

/// The playlist, but for a moment in which there is none.
fn listed(fixture: &Fixture) -> Option<Listing> {
    let nowhere = Waiters::new(0);
    let playlist = fixture.stream.playlist(None, asker(fixture, &nowhere));
    playlist.ok().map(|playlist| playlist.listing)
}

/// A stream with a track of pictures, and one of sound if there is any.
fn begun(has_sound: bool) -> Fixture {
    let fixture = Fixture::with(4096, 0);
    fixture.publish();
    fixture.append(Kind::Video, 0, SMALL);
    if has_sound {
        fixture.append(Kind::Audio, 0, AAC_HEADER);
    }
    fixture
}

/// Sends pictures and sounds that come at even times, for so many ms; `pictures` tells how one is
/// sent that is due, if it is: as a keyframe or not. Has `each` look every 250 ms.
fn send(
    fixture: &Fixture,
    ms: u64,
    (step, pictures): (u64, &dyn Fn(u64) -> Option<bool>),
    sounds: Option<&dyn Fn(u64) -> bool>,
    each: &mut dyn FnMut(),
) {
    let mut sound = 0;
    for at in 0..ms {
        let now = fixture.now.get() as u32;
        if at % step == 0 {
            if let Some(is_keyframe) = pictures(at) {
                fixture.picture(now, is_keyframe, 1_000);
            }
        }
        if at == sound * 1_024 * 1_000 / 44_100 {
            sound += 1;
            if sounds.is_some_and(|are_sent| are_sent(at)) {
                fixture.sound(now, 100);
            }
        }
        if at % 250 == 0 {
            each();
        }
        fixture.wait(1);
    }
}

#[test]
fn keyframes_that_are_closer_than_a_part_are_listed_whether_somebody_asked_before_or_not() {
    for step in [16_u64, 33, 40, 100, 250, 500, 1_000] {
        for gop in [step, 250, 500] {
            for (has_sound, is_asked) in [(true, true), (true, false), (false, false)] {
                let fixture = begun(has_sound);
                if is_asked {
                    ask(&fixture);
                }
                let is_keyframe = |at: u64| Some(at % gop.next_multiple_of(step) == 0);
                let sounds: &dyn Fn(u64) -> bool = &|_| true;
                send(
                    &fixture,
                    12_000,
                    (step, &is_keyframe),
                    has_sound.then_some(sounds),
                    &mut || {},
                );
                let listing = listed(&fixture).expect("a playlist");
                let what = (step, gop, has_sound, is_asked);
                assert!(listing.segments.len() >= 3, "{what:?}");
                check_durations(&listing, &samples(&fixture, &listing));
            }
        }
    }
}
