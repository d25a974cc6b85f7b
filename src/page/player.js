// Plays a stream in a <video> and keeps it at the live edge, until it is stopped.
//
// It takes fMP4 from a WebSocket, since a browser opens six HTTP connections to a host but many
// sockets; from fetch() when a proxy on the way knows no WebSocket; HLS where there is no MediaSource.

const Source = self.MediaSource || self.ManagedMediaSource;
const HLS = 'application/vnd.apple.mpegurl';
const MAX_QUEUE = 64e6; // bytes that wait for the decoder

const now = () => performance.now() / 1000;
const pause = seconds => new Promise(done => setTimeout(done, seconds * 1000));

/** What the server says of its streams, or null; the page's query carries the key. */
export async function streams() {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), 8000);
  try {
    const answer = await fetch('/api/v1/streams' + location.search, { cache: 'no-store', signal: limit.signal });
    return answer.ok ? await answer.json() : null;
  } catch (_) {
    return null;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Plays `path` ("/live/door"), whose stream is called `name`; returns a function that stops it.
 * `say(text, help)` shows what is going on, "" that all is well; help is "key", "urls" or nothing.
 */
export function play(video, path, name, say) {
  let stopped = false;
  let close = () => {};
  const seen = () => {
    if (!document.hidden && video.paused) video.play().catch(() => {});
  };
  document.addEventListener('visibilitychange', seen);

  (async () => {
    let bySocket = true;
    let failures = 0;
    say(`Connecting to ${name} …`);
    while (!stopped) {
      const begun = now();
      const why = await session(video, path, bySocket, say, end => (close = end));
      if (stopped) return;
      // A request for what isn't live is held a while: that is no failure.
      failures = now() - begun > 3 ? 0 : failures + 1;
      bySocket = true;
      let wait = Math.min(3, 0.25 * 2 ** failures);
      if (why === 'lost') {
        say('The connection was lost. Reconnecting …');
      } else if (why === 'broken') {
        say('The picture cannot be decoded. Trying again …');
      } else if (why === 503) {
        say('The server has no place left. Trying again …');
      } else {
        const state = await streams();
        if (stopped) return;
        const stream = state && state.streams.find(s => s.name === name);
        if (!state) {
          say('The server does not answer. Trying again …');
        } else if (why.codecs || why === 415) {
          say(`This browser cannot play ${describe(stream, why.codecs)}. Other players can:`, 'urls');
          wait = 15;
        } else if (stream && stream.is_live && why === 'refused') {
          bySocket = false; // fetch() says why, or does without sockets
        } else if (why === 401 || why === 403) {
          say(`${name} wants a key.`, 'key');
        } else {
          say(`${name} is not live. It starts here by itself.`, state.locked ? 'key' : '');
        }
      }
      await pause(wait);
    }
  })();

  return () => {
    stopped = true;
    close();
    document.removeEventListener('visibilitychange', seen);
    video.removeAttribute('src');
    video.load();
  };
}

/** The codecs in words, as far as the server gave them names. */
function describe(stream, codecs) {
  const tracks = stream ? [stream.video, stream.audio].filter(Boolean) : [];
  const bad = tracks.filter(t => !codecs || codecs.includes(t.mime_codec));
  return bad.map(t => `${t.codec} (${t.mime_codec})`).join(' and ') || (codecs || ['this']).join(', ');
}

/** One connection, from its beginning to its end; resolves with the reason of the end. */
function session(video, path, bySocket, say, atStop) {
  return new Promise(resolve => {
    const address = form => location.origin + path + form + location.search;
    const abort = new AbortController();
    let socket, media, buffer, timer;
    let isOver = false;
    let isHeld = false; // by a ManagedMediaSource
    let queue = [];
    let queued = 0;
    let target = 0.4; // seconds behind the newest picture; more where the network stutters
    let lag = target; // smoothed
    let jumped = -9;
    let trimmed = 0;
    let moved = now();
    let shown = -1;

    const over = why => {
      if (isOver) return;
      isOver = true;
      clearInterval(timer);
      abort.abort();
      if (socket) socket.close();
      video.onerror = video.onwaiting = video.onended = null;
      resolve(why);
    };
    atStop(over);

    /** The first words of a stream; later ones say that an init segment follows, which is appended like all. */
    function begin(type) {
      if (media || isOver) return;
      if (!Source.isTypeSupported(type)) {
        const codecs = type.split('"')[1] || type;
        const bad = codecs.split(',').filter(c => !Source.isTypeSupported(`video/mp4; codecs="${c}"`));
        if (video.canPlayType(HLS) && video.canPlayType(type)) hls();
        else over({ codecs: bad.length ? bad : [codecs] });
        return;
      }
      media = new Source();
      media.onsourceopen = () => {
        URL.revokeObjectURL(video.src);
        if (isOver) return;
        buffer = media.addSourceBuffer(type);
        buffer.onupdateend = appended;
        append();
      };
      media.onstartstreaming = () => {
        isHeld = false;
        append();
      };
      media.onendstreaming = () => (isHeld = true);
      video.disableRemotePlayback = true; // or a ManagedMediaSource never opens
      open(URL.createObjectURL(media));
    }

    function open(source) {
      video.onerror = () => over('broken');
      video.onended = () => over('lost');
      video.onwaiting = () => {
        if (shown > 0 && !video.seeking) target = Math.min(target + 0.15, 1.5);
      };
      video.src = source;
      video.play().catch(() => {}); // refused: watch() says so
    }

    function hls() {
      if (socket) socket.onclose = null;
      abort.abort();
      open(address('.m3u8'));
      video.onerror = () => over(shown > 0 ? 'lost' : 404);
    }

    function feed(piece) {
      queue.push(new Uint8Array(piece));
      queued += piece.byteLength;
      if (queued > MAX_QUEUE) over('lost');
      append();
    }

    /** All that waits, as one piece: what comes first are the many pictures since the keyframe. */
    function append() {
      if (isOver || isHeld || !queued || !buffer || buffer.updating) return;
      const bytes = new Uint8Array(queued);
      let at = 0;
      for (const piece of queue) {
        bytes.set(piece, at);
        at += piece.length;
      }
      queue = [bytes];
      try {
        buffer.appendBuffer(bytes);
        queue = [];
        queued = 0;
      } catch (error) {
        if (error.name !== 'QuotaExceededError') over('broken');
        else if (!trim(1)) over('lost');
      }
    }

    function appended() {
      if (isOver || trim(30)) return;
      append();
      steer();
    }

    /** Forgets what is more than `keep` seconds back, if that is enough to be worth it. */
    function trim(keep) {
      const end = video.currentTime - keep;
      if (end - trimmed < 10 && keep > 1 || end <= trimmed) return false;
      trimmed = end;
      buffer.remove(0, end);
      return true;
    }

    /** Small drifts by speed, large ones and gaps by a jump. */
    function steer() {
      const ranges = video.buffered;
      const last = ranges.length - 1;
      if (isOver || last < 0 || video.seeking) return;
      const start = ranges.start(last);
      const end = ranges.end(last);
      const behind = end - video.currentTime;
      lag += (behind - lag) * 0.1;
      const isBeforeGap = video.currentTime < start && (last === 0 || end - start > 0.2);
      if (isBeforeGap || (behind > target + 2 && now() - jumped > 3)) {
        jumped = now();
        lag = target;
        video.currentTime = Math.max(start, end - target);
      }
      const isFast = video.playbackRate > 1 ? lag > target : lag > target + 0.3;
      const rate = isFast ? 1.08 : lag < target / 4 ? 0.96 : 1;
      if (video.playbackRate !== rate) video.playbackRate = rate;
    }

    function watch() {
      target = Math.max(0.4, target - 0.001);
      if (buffer) steer();
      if (video.currentTime !== shown && video.readyState > 1) {
        if (shown !== -1) say('');
        shown = video.currentTime;
        moved = now();
      } else if (document.hidden) {
        moved = now();
      } else if (video.paused && video.readyState > 1) {
        say('Tap to play.');
        moved = now();
      } else if (shown > 0 && now() - moved > 2) {
        say('No picture comes. Waiting …');
      }
      if (now() - moved > 12) over('lost');
    }
    timer = setInterval(watch, 250);

    if (!Source) {
      if (video.canPlayType(HLS)) hls();
      else over(415);
    } else if (bySocket) {
      connect();
    } else {
      request().catch(() => over('lost'));
    }

    function connect() {
      let isOpen = false;
      socket = new WebSocket(stream().replace('http', 'ws'));
      socket.binaryType = 'arraybuffer';
      socket.onopen = () => (isOpen = true);
      socket.onmessage = ({ data }) => (typeof data === 'string' ? begin(data) : feed(data));
      socket.onclose = () => over(isOpen ? 'lost' : 'refused');
    }

    async function request() {
      const answer = await fetch(stream(), { cache: 'no-store', signal: abort.signal });
      if (!answer.ok) return over(answer.status);
      begin(answer.headers.get('content-type'));
      const reader = answer.body.getReader();
      while (!isOver) {
        const { done, value } = await reader.read();
        if (done) break;
        feed(value);
      }
      over('lost');
    }

    function stream() {
      const url = new URL(address('.mp4'));
      if (!url.searchParams.has('join')) url.searchParams.set('join', 'gop');
      return url.href;
    }
  });
}
