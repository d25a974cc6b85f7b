"""ffmpeg's encoders, and what comes out of them as NAL units, OBUs and frames."""

import struct
import subprocess

RATE = 20
WIDTH, HEIGHT = 96, 64


def ffmpeg(*arguments):
    command = ["ffmpeg", "-nostdin", "-v", "error", "-threads", "1", *arguments, "pipe:1"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def picture(seconds, rate=RATE, size=(WIDTH, HEIGHT)):
    """A box that moves over another color each second."""
    count = int(seconds * rate)
    width, height = size
    source = (f"color=gray:s={width}x{height}:r={rate},"
              f"hue=h=0,geq=lum='64+16*mod(floor(N/{rate}),8)+90*lt(mod(X-4*N+4000,{width}),24)*between(Y,16,40)'"
              f":cb='128+48*sin(floor(N/{rate}))':cr='128+48*cos(floor(N/{rate}))',format=yuv420p")
    return ["-f", "lavfi", "-i", source, "-frames:v", str(count), "-an"]


def nal_units(stream):
    """The NAL units of an Annex B stream."""
    units, at = [], stream.find(b"\0\0\1")
    while at >= 0:
        following = stream.find(b"\0\0\1", at + 3)
        unit = stream[at + 3:following if following >= 0 else len(stream)]
        units.append(unit.rstrip(b"\0") if following >= 0 else unit)
        at = following
    return units


def prefixed(units):
    return b"".join(struct.pack(">I", len(unit)) + unit for unit in units)


def unescaped(unit):
    return unit.replace(b"\0\0\3", b"\0\0")


class Avc:
    """H.264: the access units of an encoder as lists of NAL units, and how messages look."""
    name = "h264"
    aud = b"\x09\xf0"
    # A few bytes of nobody's (payload type 5).
    sei = b"\x06\x05\x14" + b"brooklet-field-sei-1"[:20] + b"\x80"

    def __init__(self, seconds, gop, options="", rate=RATE, size=(WIDTH, HEIGHT), crf=38, forced=0):
        """`forced`: seconds from one intra picture to the next, whatever the GOP is."""
        force = ["-forced-idr", "0", "-force_key_frames", f"expr:gte(t,n_forced*{forced})"] if forced else []
        x264 = f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes=0:threads=1:repeat-headers=1{options}"
        stream = ffmpeg(*picture(seconds, rate, size), "-c:v", "libx264", "-preset", "veryfast", "-crf", str(crf), *force,
                        "-x264-params", x264, "-bsf:v", "h264_metadata=aud=insert", "-f", "h264")
        self.units, self.parameters = [], []
        for unit in nal_units(stream):
            kind = unit[0] & 31
            if kind == 9:
                self.units.append([])
            elif kind in (7, 8):
                if unit not in self.parameters:
                    self.parameters.append(unit)
            # What x264 says of itself is long.
            elif not (kind == 6 and unit[1] == 5):
                self.units[-1].append(unit)

    @staticmethod
    def is_key(unit):
        return any(nal[0] & 31 == 5 for nal in unit)

    @staticmethod
    def is_picture(nal):
        return nal[0] & 31 in (1, 5)

    def record(self):
        sps, pps = self.parameters
        return (b"\x01" + sps[1:4] + b"\xff\xe1" + struct.pack(">H", len(sps)) + sps
                + b"\x01" + struct.pack(">H", len(pps)) + pps)

    def header(self):
        return b"\x17\0\0\0\0" + self.record()

    @staticmethod
    def message(is_key, data):
        return (b"\x17" if is_key else b"\x27") + b"\x01\0\0\0" + data


class Hevc:
    """HEVC by Enhanced RTMP."""
    name = "hevc"
    aud = b"\x46\x01\x50"
    sei = b"\x4e\x01\x05\x14" + b"brooklet-field-sei-1"[:20] + b"\x80"

    def __init__(self, seconds, gop, options="", rate=RATE, size=(WIDTH, HEIGHT), crf=38):
        x265 = (f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes=0:pools=none:frame-threads=1:wpp=0:info=0:"
                f"repeat-headers=1:open-gop=0:ctu=16:log-level=none{options}")
        stream = ffmpeg(*picture(seconds, rate, size), "-c:v", "libx265", "-preset", "ultrafast", "-crf", str(crf),
                        "-x265-params", x265, "-bsf:v", "hevc_metadata=aud=insert", "-f", "hevc")
        self.units, self.parameters = [], []
        for unit in nal_units(stream):
            kind = unit[0] >> 1 & 63
            if kind == 35:
                self.units.append([])
            elif kind in (32, 33, 34):
                if unit not in self.parameters:
                    self.parameters.append(unit)
            else:
                self.units[-1].append(unit)

    @staticmethod
    def is_key(unit):
        return any(16 <= nal[0] >> 1 & 63 <= 21 for nal in unit)

    @staticmethod
    def is_picture(nal):
        return nal[0] >> 1 & 63 < 32

    def record(self, arrays=True):
        profile = unescaped(self.parameters[1])[3:15]
        record = b"\x01" + profile + b"\xf0\0\xfc\xfd\xf8\xf8\0\0\x0f"
        if not arrays:
            return record + b"\0"
        record += b"\x03"
        for unit in self.parameters:
            record += bytes([0x80 | unit[0] >> 1 & 63]) + struct.pack(">HH", 1, len(unit)) + unit
        return record

    def header(self, arrays=True):
        return b"\x90hvc1" + self.record(arrays)

    @staticmethod
    def message(is_key, data):
        return (b"\x91" if is_key else b"\xa1") + b"hvc1\0\0\0" + data


class Av1:
    """AV1 by Enhanced RTMP: `units` are temporal units without their delimiters."""
    name = "av1"
    delimiter = b"\x12\0"
    padding = b"\x7a\x05\0\0\0\0\x80"

    def __init__(self, seconds, gop, rate=RATE, size=(WIDTH, HEIGHT), crf=45):
        encoder = ["-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-lag-in-frames", "0", "-row-mt", "0",
                   "-crf", str(crf), "-b:v", "0", "-g", str(gop), "-keyint_min", str(gop)]
        stream = ffmpeg(*picture(seconds, rate, size), *encoder, "-f", "ivf")
        self.units, at = [], 32
        while at < len(stream):
            (size_of_it,) = struct.unpack_from("<I", stream, at)
            unit = stream[at + 12:at + 12 + size_of_it]
            assert unit.startswith(self.delimiter)
            self.units.append(unit[2:])
            at += 12 + size_of_it
        sequence = self.units[0]
        assert sequence[0] == 0x0A and sequence[1] < 128
        self.sequence = sequence[:2 + sequence[1]]

    @staticmethod
    def is_key(unit):
        return unit[0] == 0x0A

    def record(self):
        # Profile 0, 8 bits, 4:2:0; the level is the sequence header's, of a stream with one operating point.
        first = int.from_bytes(self.sequence[2:6], "big")
        # seq_profile 3, still_picture 1, reduced 1, timing_info 1, initial_display_delay 1, operating_points 5, idc 12
        assert first >> 27 == 0, "timing information is there"
        level = first >> 3 & 31
        return bytes([0x81, level, 0x0C, 0]) + self.sequence

    def header(self):
        return b"\x90av01" + self.record()

    @staticmethod
    def message(is_key, data):
        return (b"\x91" if is_key else b"\xa1") + b"av01" + data


class Aac:
    def __init__(self, seconds, is_silent, rate=44100):
        source = f"aevalsrc=0:s={rate}:d={seconds}" if is_silent else f"sine=f=440:r={rate}:d={seconds}"
        stream = ffmpeg("-f", "lavfi", "-i", source, "-c:a", "aac", "-ac", "1", "-b:a", "8k", "-fflags", "+bitexact",
                        "-f", "adts")
        self.frames, at = [], 0
        while at < len(stream):
            size = (stream[at + 3] & 3) << 11 | stream[at + 4] << 3 | stream[at + 5] >> 5
            self.frames.append(stream[at + 7:at + size])
            at += size
        self.rate = rate

    def header(self):
        index = {44100: 4, 48000: 3}[self.rate]
        return b"\xaf\0" + struct.pack(">H", 2 << 11 | index << 7 | 1 << 3)

    @staticmethod
    def message(frame):
        return b"\xaf\x01" + frame


def slice_type(nal):
    """Of a slice of H.264 (7.3.3): first_mb_in_slice is 0 here, one bit; slice_type comes next."""
    bits = f"{int.from_bytes(nal[1:9].ljust(8, b'.'), 'big'):064b}"
    assert bits[0] == "1"
    zeros = bits.index("1", 1) - 1
    return int(bits[1 + zeros:2 + 2 * zeros], 2) - 1
