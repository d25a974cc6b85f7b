// The page: what is live; one player alone, at APP/NAME below that.
//
// Names and texts come from strangers: they enter the document as text only.

import { aKey, encode, inQuery, keys, play, query, root, rtmp, streams } from './player.js';

const [main, state, locked, publish] = ['main', 'header p', 'section', '#publish'].map(s => document.querySelector(s));
const cards = new Map(); // by name

/** A clone would belong to a document where WebKit plays nothing. */
const copy = id => document.importNode(document.getElementById(id).content.firstElementChild, true);
const pathOf = name => root + name.split('/').map(encode).join('/');
/** As one word for a shell. */
const quote = text => (/^[\p{L}\p{N}.:/?=%@+,_~\[\]-]*$/u.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`);
/** Behind URLs that are copied. */
const withKey = inQuery(keys);
const plural = (count, word) => `${count} ${word}${count === 1 ? '' : 's'}`;

/** What doesn't change keeps its selection, and screen readers still. */
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Adds a field whose text can be copied. */
function addField(parent, name, text) {
  const field = copy('url');
  const [label, input, button] = field.children;
  label.textContent = name;
  input.value = text;
  button.setAttribute('aria-label', `Copy ${name}`);
  button.onclick = () => {
    input.select();
    // navigator.clipboard is there with HTTPS only.
    if (document.execCommand('copy')) put(button, 'Copied');
    setTimeout(() => put(button, 'Copy'), 2000);
  };
  parent.append(field);
}

function addUrls(parent, name) {
  const forms = [['HTTP-FLV', '.flv'], ['MP4', '.mp4'], ['HLS', '.m3u8'], ['This page', '']];
  // RTMP knows no percent signs: names are as they are.
  addField(parent, 'RTMP', quote(`${rtmp}/${name}${withKey}`));
  for (const [label, form] of forms) addField(parent, label, quote(pathOf(name) + form + withKey));
}

/** Opens a player, with a button to stop it if `stopped` is to follow. Returns the first button. */
function open(parent, name, stopped) {
  const box = copy('player');
  const [video, message, bar] = box.children;
  const [text, help] = message.children;
  const [sound, full, stop] = bar.children;
  let kind;
  // Or it doesn't begin by itself.
  video.muted = true;
  parent.append(box);
  const end = play(video, pathOf(name), name, (words, wanted) => {
    put(text, words);
    if (wanted === kind) return;
    kind = wanted;
    help.textContent = '';
    if (kind === 'urls') addUrls(help, name);
    if (kind === 'key') help.append(copy('key'));
  });
  video.setAttribute('aria-label', name);
  video.onvolumechange = () => put(sound, video.muted ? 'Sound on' : 'Sound off');
  sound.onclick = () => {
    const muted = !video.muted;
    for (const other of document.querySelectorAll('video')) other.muted = true;
    video.muted = muted;
    video.play().catch(() => {});
  };
  video.onclick = () => (video.paused ? video.play() : sound.onclick());
  full.hidden = !document.fullscreenEnabled && !video.webkitEnterFullscreen;
  full.onclick = () => {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (box.requestFullscreen) box.requestFullscreen();
    else video.webkitEnterFullscreen(); // iPhone
  };
  stop.hidden = !stopped;
  stop.onclick = () => {
    end();
    box.remove();
    stopped();
  };
  return sound;
}

function makeCard(name) {
  const element = copy('card');
  const [screen, title, facts, findings, others] = element.children;
  const button = screen.firstElementChild;
  const card = { element, isPlaying: false };
  let since, begun;
  let pictured = 0;

  title.firstElementChild.textContent = name;
  title.firstElementChild.href = pathOf(name) + withKey;
  addUrls(others, name);
  button.setAttribute('aria-label', `Play ${name}`);
  button.onclick = () => {
    card.isPlaying = button.hidden = true;
    const first = open(screen, name, () => {
      card.isPlaying = button.hidden = false;
      button.focus();
    });
    first.focus();
  };

  card.update = stream => {
    // By this machine's clock: the server may have none.
    if (since !== stream.since) begun = new Date(Date.now() - stream.uptime_s * 1000).toLocaleString([], { dateStyle: 'short', timeStyle: 'short' });
    since = stream.since;
    put(facts, describe(stream, begun));
    put(findings, stream.findings.map(f => f.text).join('\n'));
    if (!stream.is_live || !stream.video || card.isPlaying || document.hidden || Date.now() - pictured < 20000) return;
    // The newest keyframe, loaded behind the one that is there.
    pictured = Date.now();
    const still = document.createElement('video');
    still.muted = true;
    still.onloadeddata = () => {
      button.textContent = '';
      button.append(still);
    };
    still.src = `${pathOf(name)}/frame.mp4${query}`;
  };
  return card;
}

/** "H.264 1280×720 29.97 fps · AAC 48 kHz stereo · 2.5 Mbit/s …" */
function describe({ is_live, video: v, audio: a, kbit_s_in: rate, viewers }, begun) {
  const facts = is_live ? [] : ['waiting for its publisher'];
  if (v) facts.push(v.codec + (v.width ? ` ${v.width}×${v.height}` : '') + (v.frame_rate ? ` ${v.frame_rate} fps` : ''));
  if (a) facts.push(`${a.codec} ${a.sample_rate / 1000} kHz ${['', 'mono', 'stereo'][a.channels] || plural(a.channels, 'channel')}`);
  if (rate) facts.push(rate < 1000 ? `${rate} kbit/s` : `${(rate / 1000).toFixed(1)} Mbit/s`);
  return [...facts, plural(viewers, 'viewer'), `since ${begun}`].join(' · ');
}

function show({ streams, locked: isLocked }) {
  const live = streams.filter(s => s.is_live).length;
  put(state, live ? `${plural(live, 'stream')} live` : isLocked ? '' : 'Nothing is live.');
  for (const stream of streams) {
    if (!cards.has(stream.name)) {
      cards.set(stream.name, makeCard(stream.name));
      main.append(cards.get(stream.name).element);
    }
    cards.get(stream.name).update(stream);
  }
  for (const [name, card] of cards) {
    // One that is watched stays.
    if (card.isPlaying || streams.some(s => s.name === name)) continue;
    card.element.remove();
    cards.delete(name);
  }
  locked.hidden = !isLocked;
  put(locked.firstElementChild, `There are streams that want ${aKey}.`);
  if (publish.hidden) {
    publish.hidden = false;
    publish.open = !live && !isLocked;
    addField(publish, 'RTMP URL', `${rtmp}/live/cam`);
    addField(publish, 'OBS: Server', `${rtmp}/live`);
    addField(publish, 'Stream Key', 'cam');
    addField(publish, 'ffmpeg', `ffmpeg -re -i INPUT -c copy -f flv ${rtmp}/live/cam`);
  }
}

let timer;
async function poll() {
  const list = await streams();
  if (list) show(list);
  else put(state, 'The server does not answer. Trying again …');
  clearTimeout(timer);
  timer = setTimeout(poll, document.hidden ? 20000 : 2000);
}

const path = location.pathname.slice(new URL(root).pathname.length).replace(/^\/+|\/+$/g, '');
if (path) {
  let name = path;
  try {
    name = decodeURIComponent(path);
  } catch (_) {
    // Not encoded.
  }
  document.title = name;
  document.body.className = 'alone';
  open(main, name);
} else {
  locked.append(copy('key'));
  document.addEventListener('visibilitychange', poll);
  poll();
}
