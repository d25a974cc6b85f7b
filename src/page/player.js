// Plays a stream in a <video> at the live edge: fMP4 through a WebSocket, or fetch() if a proxy knows none;
// HLS in browsers without MediaSource.

const Source = self.MediaSource || self.ManagedMediaSource;
/** Its pictures are late, and changes of speed stop it at times. */
export const isGtk = /Linux(?!.*Chrom).*Safari/.test(navigator.userAgent);
const minTarget = isGtk ? 1 : 0.4;
const now = () => performance.now() / 1000;
export const start = video => video.play().catch(() => {});
export const sleep = seconds => new Promise(done => setTimeout(done, seconds * 1000));

export const TEXTS = {
  lost: 'The connection was lost. Reconnecting …',
  broken: 'The picture cannot be decoded. Trying again …',
  silent: 'The server does not answer. Trying again …',
  429: 'The server is busy. Trying again …',
  503: 'The server is full. Trying again …',
};

export const root = location.origin + new URL('..', import.meta.url).pathname;

/** And what shells would take for theirs. */
export const encode = text => encodeURIComponent(text).replace(/[!'()*]/g, c => '%' + c.charCodeAt(0).toString(16).toUpperCase());
export const inQuery = pairs => pairs.map(([name, value], i) => `${i ? '&' : '?'}${encode(name)}=${encode(value)}`).join('');

/** The key, which the tab keeps, and the address no longer shows. */
export let keys = [];
const others = [];
for (const pair of new URLSearchParams(location.search)) (/^(key|token|secret|user|pass)$/.test(pair[0]) ? keys : others).push(pair);
try {
  if (keys.length) {
    sessionStorage.brooklet = JSON.stringify(keys);
    history.replaceState(null, '', location.pathname + inQuery(others) + location.hash);
  } else keys = JSON.parse(sessionStorage.brooklet || '[]');
} catch (_) {
  // It may keep nothing.
}

export const aKey = keys.length ? 'another key' : 'a key';

/** Behind all URLs that are fetched. Not the browser asks for the key. */
export const query = inQuery([...others, ...keys, ['challenge', 'off']]);

/** rtmp://HOST[:PORT], once the server was asked for its streams. */
export let rtmp = '';

export async function ask(what) {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), 8000);
  try {
    const answer = await fetch(`${root}api/v1/${what}${query}`, { cache: 'no-store', signal: abort.signal });
    return answer.ok ? await answer.json() : null;
  } catch (_) {
    return null;
  } finally {
    clearTimeout(timer);
  }
}

export async function streams() {
  const list = await ask('streams');
  if (list) rtmp = `rtmp://${location.hostname}:${list.server.rtmp_port}`.replace(/:1935$/, '');
  return list;
}

/**
 * Plays what is at `path` (".../live/door"); returns a function that stops it. `say(text, help)` tells
 * what is going on, "" when all is well; help is "key", "urls" or nothing.
 */
export function play(video, path, name, say) {
  let end;
  let isStopped = false;
  const resume = () => document.hidden || start(video);
  // A browser may keep the page, and the connection without reading from it.
  const leave = () => end('lost');
  const find = list => list && list.streams.find(s => s.name === name);
  document.addEventListener('visibilitychange', resume);
  addEventListener('pagehide', leave);

  (async () => {
    let isSocket = true;
    let failures = 0;
    let off = ''; // a track that the browser cannot play
    say(`Connecting to ${name} …`);
    while (!isStopped) {
      const begun = now();
      const why = await session(video, path, isSocket, off, say, over => (end = over), async () => find(await streams()));
      if (isStopped) return;
      off = why.off || '';
      if (off) continue;
      // What isn't live is held a while, which is no failure.
      failures = now() - begun > 3 ? 0 : failures + 1;
      isSocket = true;
      let wait = Math.min(3, 0.25 * 2 ** failures);
      const list = TEXTS[why] ? null : await streams();
      const stream = find(list);
      if (TEXTS[why] || !list) {
        say(TEXTS[why] || TEXTS.silent);
      } else if (why === 415 || why.codecs) {
        say(`This browser cannot play ${inWords(stream, why.codecs)}. Others can:`, 'urls');
        wait = 15;
      } else if (why === 401 || why === 403) {
        say(`${name} wants ${aKey}.`, 'key');
      } else if (stream && stream.is_live) {
        isSocket = false; // fetch() learns why, or does without sockets
      } else {
        say(`${name} is not live${list.locked ? `, or wants ${aKey}` : ''}. It starts here by itself.`, list.locked && 'key');
        wait = 1;
      }
      if (!isStopped) await sleep(wait);
    }
  })();

  return () => {
    isStopped = true;
    end('stopped');
    document.removeEventListener('visibilitychange', resume);
    removeEventListener('pagehide', leave);
  };
}

/** "HEVC (hvc1.1.6.L93.B0)" */
function inWords(stream, codecs) {
  const tracks = stream ? [stream.video, stream.audio] : [];
  const bad = tracks.filter(t => t && (!codecs || codecs.includes(t.mime_codec)));
  return bad.map(t => `${t.codec} (${t.mime_codec})`).join(' and ') || codecs || 'this';
}

/** One connection; resolves with the reason of its end: a word or a status. */
const session = (video, path, isSocket, off, say, atStop, find) => new Promise(resolve => {
  const abort = new AbortController();
  let socket, buffer;
  let hasBegun = false;
  let isOver = false;
  let isHeld = false; // by a ManagedMediaSource
  let queue = [];
  let target = minTarget; // seconds behind the newest picture; more where the network stutters
  let lag = target; // smoothed
  let jumped = -3;
  let trimmed = 0;
  let begun = 0; // where a GOP begins, and one before it that is being played, or has been
  let before = 0;
  let shown = -1;
  let moved = now();
  let drawn, late, reason;
  let asked = 0;

  const timer = setInterval(watch, 250);
  const over = why => {
    if (isOver) return;
    isOver = true;
    clearInterval(timer);
    abort.abort();
    if (socket) socket.close();
    video.onerror = video.onended = video.onwaiting = null;
    resolve(why);
  };
  atStop(over);

  function begin(type) {
    if (hasBegun || isOver) return;
    // As Safari, and others, call them.
    const other = type.replace('opus', 'Opus').replace('flac', 'fLaC').replace('mp3', 'mp4a.6B');
    if (Source.isTypeSupported(other)) type = other;
    if (!Source.isTypeSupported(type)) {
      const codecs = (type.split('"')[1] || type).split(',');
      const bad = codecs.filter(c => !Source.isTypeSupported(`video/mp4; codecs="${c}"`));
      // Rather a silent picture than none.
      if (codecs[1] && bad[0] === codecs[1]) over({ off: 'audio' });
      else hls({ codecs: bad.length ? bad : codecs });
      return;
    }
    const media = new Source();
    media.onsourceopen = () => {
      URL.revokeObjectURL(video.src);
      if (isOver) return;
      buffer = media.addSourceBuffer(type);
      // It begins at 0.2 s. So there is a picture without a jump.
      buffer.timestampOffset = -0.19;
      buffer.onupdateend = () => {
        if (isOver || buffer.updating || trim(30)) return;
        append();
        steer();
      };
      append();
    };
    media.onendstreaming = () => (isHeld = true);
    media.onstartstreaming = () => {
      isHeld = false;
      append();
    };
    open(URL.createObjectURL(media));
  }

  function open(source) {
    hasBegun = true;
    moved = now();
    video.onerror = () => over('broken');
    video.onended = () => over('lost');
    video.onwaiting = () => {
      if (shown > 0 && !video.seeking) target = Math.min(target + 0.15, 1.5);
    };
    video.disableRemotePlayback = true; // or a ManagedMediaSource stays closed
    video.src = source;
    start(video); // watch() sees it
  }

  function hls(why) {
    abort.abort();
    if (socket) socket.onclose = socket.close();
    if (!video.canPlayType('application/vnd.apple.mpegurl')) return over(why);
    open(`${path}.m3u8${query}`);
    video.onerror = () => over(shown > 0 ? 'lost' : why);
  }

  function feed(piece) {
    const bytes = new Uint8Array(piece);
    queue.push(bytes);
    // A keyframe's fragment.
    if (bytes[4] === 0x6D && bytes[47] === 1 && bytes[96] === 2 && edge() > begun + 5) {
      before = begun;
      begun = edge();
    }
    if (queue.length > 5000) over('lost');
    append();
  }

  /** All that waits at once: a stream begins with many pictures. */
  function append() {
    if (isOver || isHeld || !queue.length || !buffer || buffer.updating) return;
    const all = new Uint8Array(queue.reduce((sum, piece) => sum + piece.length, 0));
    let at = 0;
    for (const piece of queue) all.set(piece, (at += piece.length) - piece.length);
    queue = [all];
    try {
      buffer.appendBuffer(all);
      queue = [];
    } catch (error) {
      if (error.name !== 'QuotaExceededError') over('broken');
      else if (!trim(1)) over('lost');
    }
  }

  function edge() {
    const ranges = video.buffered;
    return ranges.length && ranges.end(ranges.length - 1);
  }

  /** Forgets what is `keep` seconds back, ten at a time. Browsers do so up to the next keyframe. */
  function trim(keep) {
    const end = Math.min(video.currentTime - keep, before);
    if (end <= trimmed + (keep > 1 ? 10 : 0)) return false;
    trimmed = end;
    buffer.remove(0, end);
    return true;
  }

  /** Small drifts by speed; large ones, and gaps, by a jump. */
  function steer() {
    const ranges = video.buffered;
    const last = ranges.length - 1;
    if (last < 0 || video.seeking) return;
    const start = ranges.start(last);
    const end = edge();
    const behind = end - video.currentTime;
    lag += (behind - lag) * 0.1;
    // Before it has decoders, a jump hangs WebKitGTK.
    if (shown < 0 && video.readyState < 2 && now() - moved < 3) return;
    const isAfterGap = video.currentTime < start && (!last || end - start > 0.2);
    const tolerance = jumped < 0 ? 0.5 : 2;
    // Chromium plays sound on for 3 s where pictures pause.
    if (isAfterGap || behind < -4 || (behind > target + tolerance && now() - jumped > 3)) {
      jumped = now();
      lag = target;
      video.currentTime = Math.max(start, end - target);
    }
    const isLate = lag > target + (video.playbackRate > 1 ? 0 : 0.3);
    if (!isGtk) video.playbackRate = isLate ? 1.08 : lag < target / 4 ? 0.96 : 1;
  }

  function watch() {
    if (buffer) steer();
    target = Math.max(minTarget, target - 0.001);
    if (document.hidden) moved = now();
    if (hasBegun && video.readyState > 1) {
      if (video.currentTime !== shown) {
        if (shown >= 0) say(video.videoWidth ? '' : 'Sound without a picture.');
        shown = video.currentTime;
        moved = now();
      } else if (video.paused) {
        say('Tap to play.');
        moved = now();
      }
    }
    // All pictures come late there at times, and would for ever.
    const { totalVideoFrames: count, droppedVideoFrames: dropped } = isGtk && video.getVideoPlaybackQuality();
    if (count !== drawn) late = dropped;
    drawn = count;
    if (dropped > late + 30) {
      late = dropped;
      video.currentTime -= 0.3;
    }
    const still = now() - moved;
    if (still > 2 && now() - asked > 4) {
      asked = now();
      find().then(s => (reason = s && s.findings.find(f => f.id === 'no-start')));
    }
    if (still > 2 && (reason || shown >= 0)) say(reason ? reason.text : 'No picture comes. Waiting …');
    if (still > 12) over(reason ? 'no-start' : 'lost');
  }

  const url = new URL(path + '.mp4' + query);
  if (off) url.searchParams.set(off, 'off');
  if (!url.searchParams.has('join')) url.searchParams.set('join', 'gop');

  function connect() {
    let failure = 'refused';
    socket = new WebSocket(url.href.replace('http', 'ws'));
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => (failure = 'lost');
    socket.onmessage = ({ data }) => (typeof data === 'string' ? begin(data) : feed(data));
    // 1003: nothing that the format can hold.
    socket.onclose = ({ code }) => over(code === 1003 ? 415 : failure);
  }

  async function request() {
    const answer = await fetch(url, { cache: 'no-store', signal: abort.signal });
    if (!answer.ok) return over(answer.status);
    begin(answer.headers.get('content-type'));
    const reader = answer.body.getReader();
    while (!isOver) {
      const { done, value } = await reader.read();
      if (done) over('lost');
      else feed(value);
    }
  }

  if (!Source) hls('refused');
  else if (isSocket) connect();
  else request().catch(() => over('lost'));
});
