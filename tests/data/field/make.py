#!/usr/bin/env python3
"""Makes the files of this folder: media as phones, drones and cameras really send it.

    python3 tests/data/field/make.py

needs Debian 12's ffmpeg (5.1, with libx264, libx265 and libaom) and nothing else; the same program
makes the same bytes. `README.md` says what each file is, `kinds.json` what is to be expected of it.

A file holds RTMP messages as an FLV file does: type, timestamp and payload exactly as they are to be
sent. FLV's stream id, which is always 0, is the time of sending in ms from the beginning.
"""

import json
import os
import struct
import sys

sys.dont_write_bytecode = True  # this folder is for the files

from encoders import RATE, Aac, Av1, Avc, Hevc, ffmpeg, prefixed, slice_type

HERE = os.path.dirname(os.path.abspath(__file__))
AUDIO, VIDEO = 8, 9


# ------------------------------------------------------------------------------------------- messages

_cache = {}


def cached(kind, *arguments, **options):
    key = (kind, arguments, tuple(sorted(options.items())))
    if key not in _cache:
        _cache[key] = kind(*arguments, **options)
    return _cache[key]


def avc(seconds=12, gop=2 * RATE, options="", **more):
    return cached(Avc, seconds, gop, options, **more)


def hevc(seconds=12, gop=2 * RATE, options="", **more):
    return cached(Hevc, seconds, gop, options, **more)


def av1(seconds=12, gop=2 * RATE, **more):
    return cached(Av1, seconds, gop, **more)


def video_header(codec):
    return (0, VIDEO, codec.header())


def data_of(codec, unit, with_parameters=False):
    if codec.name == "av1":
        return unit
    return prefixed((codec.parameters if with_parameters and codec.is_key(unit) else []) + unit)


def plain_pictures(codec, rate=RATE, flag=None, with_parameters=False):
    """(time, type, payload) of the header and of one message for each picture."""
    messages = [(0, VIDEO, codec.header())]
    for index, unit in enumerate(codec.units):
        is_key = codec.is_key(unit) if flag is None else flag
        messages.append((round(index * 1000 / rate), VIDEO,
                         codec.message(is_key, data_of(codec, unit, with_parameters))))
    return messages


def sound(seconds=12, begin=0, is_silent=True):
    """Silence is small."""
    aac = cached(Aac, seconds, is_silent)
    messages = [(begin, AUDIO, aac.header())]
    for index, frame in enumerate(aac.frames):
        messages.append((begin + round(index * 1024000 / aac.rate), AUDIO, aac.message(frame)))
    return messages


def merged(*tracks):
    """In the order of their time."""
    return sorted((message for track in tracks for message in track), key=lambda message: message[0])


def in_time(messages):
    """(sent, timestamp, type, payload) of messages that are sent at their time."""
    return [(time, time, kind, payload) for time, kind, payload in messages]


# ---------------------------------------------------------------------------------------------- kinds

KINDS = []


def kind(name, what, messages, pictures, sounds=0, again=None, **expected):
    """Writes the file, and `NAME.again.flv` of a publisher that comes back."""
    for suffix, part in (("", messages), (".again", again)):
        if part is None:
            continue
        out = b"FLV\x01\x05\0\0\0\x09\0\0\0\0"
        for sent, timestamp, message_type, payload in part:
            head = struct.pack(">B", message_type) + struct.pack(">I", len(payload))[1:]
            head += struct.pack(">I", timestamp & 0xFFFFFF)[1:] + struct.pack(">B", timestamp >> 24 & 0xFF)
            head += struct.pack(">I", sent)[1:]
            out += head + payload + struct.pack(">I", len(head) + len(payload))
        with open(os.path.join(HERE, f"{name}{suffix}.flv"), "wb") as file:
            file.write(out)
    KINDS.append({"name": name, "what": what, "pictures": runs(pictures), "sounds": sounds, **expected})


def with_sound(video, seconds=12):
    return in_time(merged(video, sound(seconds)))


AAC_12 = len(cached(Aac, 12, True).frames)
PICTURES = 12 * RATE


def times(count, rate=RATE):
    return [round(index * 1000 / rate) for index in range(count)]


def runs(sent):
    """[first, interval, count] of each part in which pictures come at one interval (but for rounding)."""
    found = []
    for time in sent:
        if found and found[-1][2] == 1:
            found[-1][1:] = [time - found[-1][0], 2]
        elif found and abs(time - found[-1][0] - found[-1][1] * found[-1][2]) <= 1:
            found[-1][2] += 1
        else:
            found.append([time, 0, 1])
    return found


def control():
    for codec in (avc(), hevc(), av1()):
        kind(f"00-plain-{codec.name}", "nothing special, a keyframe every 2 s", with_sound(plain_pictures(codec)),
             times(PICTURES), AAC_12, codec=codec.name)


def close_keyframes():
    for codec in (avc(gop=1), hevc(gop=1), av1(gop=1)):
        assert all(map(codec.is_key, codec.units))
        kind(f"01-all-intra-{codec.name}", "every picture is a keyframe", with_sound(plain_pictures(codec)),
             times(PICTURES), AAC_12, codec=codec.name)
    kind("01-gop-half", "a keyframe every 500 ms", with_sound(plain_pictures(avc(gop=RATE // 2))),
         times(PICTURES), AAC_12, codec="h264")


def beside(codec, extra, when=lambda index, unit: True, flag=None):
    """A message of its own before each picture for which `when` holds."""
    messages = [(0, VIDEO, codec.header())]
    for index, unit in enumerate(codec.units):
        time = round(index * 1000 / RATE)
        is_key = codec.is_key(unit)
        if when(index, unit):
            messages.append((time, VIDEO, codec.message(is_key if flag is None else flag, extra)))
        messages.append((time, VIDEO, codec.message(is_key, data_of(codec, unit))))
    return messages


def without_picture():
    for codec in (avc(), hevc()):
        def on_key(_, unit, codec=codec):
            return codec.is_key(unit)
        name, total = codec.name, times(PICTURES)
        kind(f"02-sei-{name}", "an SEI alone in a message before every picture",
             with_sound(beside(codec, prefixed([codec.sei]), flag=False)), total, AAC_12, codec=name)
        kind(f"02-parameters-{name}", "parameter sets alone in a message, flagged key, before every keyframe",
             with_sound(beside(codec, prefixed(codec.parameters), on_key)), total, AAC_12, codec=name)
        kind(f"02-aud-{name}", "an access unit delimiter alone in a message before every picture",
             with_sound(beside(codec, prefixed([codec.aud]), flag=False)), total, AAC_12, codec=name)
        kind(f"02-empty-key-{name}", "a keyframe message without data before every keyframe",
             with_sound(beside(codec, b"", on_key)), total, AAC_12, codec=name)
        for where, around in (("before", lambda unit: [b""] + unit), ("after", lambda unit: unit + [b""])):
            video = [(0, VIDEO, codec.header())]
            for index, unit in enumerate(codec.units):
                video.append((total[index], VIDEO, codec.message(codec.is_key(unit), prefixed(around(unit)))))
            kind(f"02-empty-nal-{where}-{name}", f"a NAL unit of no bytes {where} that of every picture",
                 with_sound(video), total, AAC_12, codec=name)
    codec = av1()
    kind("02-delimiter-av1", "a temporal delimiter alone in a message before every picture",
         with_sound(beside(codec, codec.delimiter, flag=False)), times(PICTURES), AAC_12, codec="av1")
    kind("02-padding-av1", "a padding OBU alone in a message before every picture",
         with_sound(beside(codec, codec.padding, flag=False)), times(PICTURES), AAC_12, codec="av1")
    kind("02-empty-key-av1", "a keyframe message without data before every keyframe",
         with_sound(beside(codec, b"", lambda _, unit: codec.is_key(unit))), times(PICTURES), AAC_12, codec="av1")


def slices():
    def split(codec, with_all):
        messages = [(0, VIDEO, codec.header())]
        for index, unit in enumerate(codec.units):
            time, is_key = round(index * 1000 / RATE), codec.is_key(unit)
            units = unit
            if with_all:
                units = (codec.parameters if is_key else []) + [codec.sei] + unit
            for nal in units:
                flag = is_key and (codec.is_picture(nal) or nal in codec.parameters)
                messages.append((time, VIDEO, codec.message(flag, prefixed([nal]))))
        return messages

    def sliced(make, count):
        # x265 has slices with its threads only.
        return make(options=f":slices={count}" + (":pools=2:wpp=1" if make is hevc else ""))

    for count in (2, 4):
        for make in (avc, hevc):
            codec = sliced(make, count)
            found = {len([nal for nal in unit if codec.is_picture(nal)]) for unit in codec.units}
            assert found == {count}, f"{codec.name}: {found} slices for {count}"
            kind(f"03-slices-{count}-{codec.name}", f"{count} slices a picture, each in a message of its own",
                 with_sound(split(codec, False)), times(PICTURES), AAC_12, codec=codec.name, at_most=1.25)
    for codec in (sliced(avc, 2), sliced(hevc, 2)):
        kind(f"03-nal-units-{codec.name}",
             "parameter sets, SEI and each of two slices in messages of their own",
             with_sound(split(codec, True)), times(PICTURES), AAC_12, codec=codec.name, at_most=1.25)


def time_lapse():
    for name, rate, seconds in (("1", 1, 14), ("0.5", 0.5, 14), ("0.2", 0.2, 20)):
        codec = avc(seconds, 1, rate=rate)
        video = plain_pictures(codec, rate)
        # The stream is live until its last picture's time is over.
        more = {"plays": seconds - 1} if rate == 1 else {}
        kind(f"04-fps-{name}", f"keyframes only, {name} a second, no sound", in_time(video), times(len(codec.units), rate),
             codec="h264", stays=round(1000 / rate), **more)
    codec = avc(14, 1, rate=0.5)
    kind("04-fps-0.5-sound", "keyframes only, 0.5 a second, with sound", with_sound(plain_pictures(codec, 0.5), 14),
         times(len(codec.units), 0.5), len(cached(Aac, 14, True).frames), codec="h264", plays=12)


def returns():
    for name, make, drop in (("h264", avc, VIDEO), ("hevc", hevc, VIDEO), ("both", avc, None), ("aac", avc, AUDIO)):
        codec = make(6)
        first = with_sound(plain_pictures(codec), 6)
        video, audio = plain_pictures(codec), sound(6)
        again = merged(video[1:] if drop != AUDIO else video, audio[1:] if drop != VIDEO else audio)
        missing = {VIDEO: "the video's header", AUDIO: "the sound's header", None: "either header"}[drop]
        kind(f"05-returns-{name}", f"is lost after 6 s and comes back without {missing}", first,
             times(6 * RATE) + [7000 + time for time in times(6 * RATE)], 2 * len(cached(Aac, 6, True).frames),
             again=in_time(again), codec=codec.name, finding=["header"])


def stands_still():
    def silent_kind(name, what, video, seconds, **more):
        kind(f"06-still-{name}", what, with_sound(video, seconds), [time for time, *_ in video[1:]],
             len(cached(Aac, seconds, True).frames), codec="h264", longest=6, **more)

    video = plain_pictures(avc(18, RATE))
    silent_kind("key", "no picture from 2 to 13 s while sound goes on, then a keyframe",
                [message for message in video if not 2000 <= message[0] < 13000], 18, at_most=1.2,
                late_from_ms=13000)
    # A screen that stands still: what comes after is coded against the last picture that was sent.
    video = plain_pictures(avc(9, 3 * RATE))
    later = [(time + 11000, kind_, payload) for time, kind_, payload in video if time >= 2000]
    silent_kind("inter", "no picture from 2 to 13 s while sound goes on, then inter pictures, a keyframe at 14 s",
                [message for message in video if message[0] < 2000] + later, 20, at_most=1.2, late_from_ms=14000)
    silent_kind("one", "one keyframe, then sound alone", video[:2], 16)


def other_size():
    for make in (avc, hevc):
        first, second = make(6), make(6, size=(64, 48))
        begin = plain_pictures(first, with_parameters=True)
        rest = [(time + 6000, kind_, payload) for time, kind_, payload in plain_pictures(second, with_parameters=True)]
        expected = {"codec": first.name, "size": [64, 48]}
        kind(f"07-size-{first.name}", "96x64, after 6 s 64x48 by parameter sets in the frames, no new header",
             with_sound(begin + rest[1:]), times(PICTURES), AAC_12, **expected)
        header = [(6000, VIDEO, first.header())]
        kind(f"07-size-old-header-{first.name}", "the same with the old header again before the change",
             with_sound(begin + header + rest[1:]), times(PICTURES), AAC_12, **expected)


def bursts():
    for count in (5, 20):
        audio = sound(is_silent=False)
        grouped = audio[:1]
        for begin in range(1, len(audio), count):
            group = audio[begin:begin + count]
            # Sent when the last of them is there, under the time of the first.
            grouped += [(group[-1][0], group[0][0], kind_, payload) for _, kind_, payload in group]
        audio = in_time(grouped[:1]) + grouped[1:]
        video = in_time(plain_pictures(avc()))
        messages = sorted(video + audio, key=lambda message: message[0])
        kind(f"08-bursts-{count}", f"{count} AAC frames under one timestamp at a time", messages, times(PICTURES), AAC_12,
             codec="h264", counts_sound=True)


def clocks():
    base = with_sound(plain_pictures(avc()))
    clock = {"codec": "h264", "finding": ["timestamp", "time stamp", "clock"]}
    kind("09-zero", "all timestamps are 0", [(sent, 0, *rest) for sent, _, *rest in base], times(PICTURES), AAC_12,
         fraction=0.7, **clock)
    hovering, seed = [], 1
    for sent, _, *rest in base:
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        hovering.append((sent, max(0, sent + (seed >> 16) % 81 - 40), *rest))
    kind("09-hovering", "timestamps up to 40 ms before or after their time, going back as well", hovering,
         times(PICTURES), AAC_12, **clock)
    for name, factor in (("10", 10), ("90", 90)):
        kind(f"09-fast-{name}", f"timestamps run {name} times too fast",
             [(sent, sent * factor, *rest) for sent, _, *rest in base], times(PICTURES), AAC_12, fraction=0.25, **clock)
    kind("09-slow-0.8", "timestamps run at 0.8 of real time",
         [(sent, round(sent * 0.8), *rest) for sent, _, *rest in base], times(PICTURES), AAC_12, **clock)


def no_keyframes():
    seconds = 16
    codec = avc(seconds, RATE, ":intra-refresh=1")
    assert sum(map(codec.is_key, codec.units)) == 1
    points = sum(1 for unit in codec.units if any(nal[0] & 31 == 6 and nal[1] == 6 for nal in unit))
    assert points > 5, f"{points} recovery points"
    frames = len(cached(Aac, seconds, True).frames)
    total = times(seconds * RATE)
    video = plain_pictures(codec)
    why = {"codec": "h264", "may_say_why": True, "finding": ["intra refresh", "recovery point", "IDR"]}
    kind("10-refresh", "intra refresh: one IDR picture, then recovery points, flagged inter", with_sound(video, seconds),
         total, frames, **why)
    flagged = [video[0]]
    for time, unit in zip(total, codec.units):
        flag = codec.is_key(unit) or any(nal[0] & 31 == 6 and nal[1] == 6 for nal in unit)
        flagged.append((time, VIDEO, codec.message(flag, data_of(codec, unit))))
    kind("10-refresh-flagged", "the same with recovery points flagged key", with_sound(flagged, seconds), total, frames, **why)
    # From the second on, as a publisher that connects in the middle sends it.
    later = [(time, kind_, payload) for time, (_, kind_, payload) in zip(total, video[2:])]
    kind("10-refresh-no-idr", "recovery points and no IDR picture at all, flagged inter", with_sound(video[:1] + later, seconds),
         total[:len(later)], frames, from_ms=11000, **why)

    def bare(codec):
        messages = [video_header(codec)]
        for time, unit in zip(total, codec.units[1:]):
            slices_ = [nal for nal in unit if codec.is_picture(nal)]
            messages.append((time, VIDEO, codec.message(False, prefixed(slices_))))
        return with_sound(messages, seconds), total[:len(messages) - 1], frames

    # With open GOPs what is forced is an intra picture, and no keyframe before min-keyint.
    intra = avc(seconds, 1000, ":open-gop=1:min-keyint=500:bframes=1:b-bias=-100:b-pyramid=0", forced=1)
    assert sum(map(intra.is_key, intra.units)) == 1
    count = sum(1 for unit in intra.units for nal in unit if nal[0] & 31 == 1 and slice_type(nal) in (2, 7))
    assert not any(slice_type(nal) in (1, 6) for unit in intra.units for nal in unit if nal[0] & 31 == 1), "B pictures"
    assert count == seconds - 1, f"{count} intra pictures"
    kind("10-nothing-key", "intra pictures a second apart, but neither IDR pictures nor recovery points nor flags",
         *bare(intra), from_ms=11000, **{**why, "finding": ["keyframe"]})
    kind("10-nothing-key-refresh", "intra refresh without an IDR picture, recovery points, or flags: nobody can tell",
         *bare(codec), from_ms=11000, **{**why, "finding": ["keyframe"]})


def flags_that_lie():
    for codec in (avc(), hevc(), av1()):
        kind(f"11-all-flagged-key-{codec.name}", "every message is flagged key", with_sound(plain_pictures(codec, flag=True)),
             times(PICTURES), AAC_12, codec=codec.name)
        kind(f"11-none-flagged-key-{codec.name}", "no message is flagged key; there are keyframes every 2 s",
             with_sound(plain_pictures(codec, flag=False)), times(PICTURES), AAC_12, codec=codec.name)


def headers():
    codec = hevc()
    video = plain_pictures(codec, with_parameters=True)
    video[0] = (0, VIDEO, codec.header(arrays=False))
    kind("12-hvcc-empty", "an hvcC without arrays, parameter sets in the frames", with_sound(video), times(PICTURES),
         AAC_12, codec="hevc")
    seconds = 18
    audio = sound(6, 12000)
    kind("12-late-sound", "sound begins at 12 s", in_time(merged(plain_pictures(avc(seconds)), audio)),
         times(seconds * RATE), codec="h264", plays=seconds, fraction=0.8)
    stream = ffmpeg("-f", "lavfi", "-i", "sine=f=440:r=22050:d=12", "-c:a", "libmp3lame", "-ac", "1", "-b:a", "8k",
                    "-write_xing", "0", "-id3v2_version", "0", "-f", "mp3")
    frames, at = [], 0
    while at + 4 <= len(stream):
        assert stream[at] == 0xFF and stream[at + 1] >> 4 == 0xF, "a frame's header"
        bitrate = [0, 8, 16, 24, 32, 40, 48, 56, 64][stream[at + 2] >> 4]
        size = 72 * bitrate * 1000 // 22050 + (stream[at + 2] >> 1 & 1)
        frames.append(stream[at:at + size])
        at += size
    # MP3, 22 kHz, 16 bits, mono.
    audio = [(round(index * 576000 / 22050), AUDIO, b"\x2a" + frame) for index, frame in enumerate(frames)]
    kind("12-mp3-22", "MP3 at 22.05 kHz", in_time(merged(plain_pictures(avc()), audio)), times(PICTURES), len(frames),
         codec="h264")


def main():
    for name in os.listdir(HERE):
        if name.endswith(".flv"):
            os.remove(os.path.join(HERE, name))
    for make in (control, close_keyframes, without_picture, slices, time_lapse, returns, stands_still, other_size, bursts,
                 clocks, no_keyframes, flags_that_lie, headers):
        make()
    lines = ",\n".join(json.dumps(entry) for entry in KINDS)
    with open(os.path.join(HERE, "kinds.json"), "w", encoding="ascii") as file:
        file.write(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
