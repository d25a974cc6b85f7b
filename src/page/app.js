// The page: what is live, at `/`; one player alone, at `/APP/NAME`.
//
// Names and texts come from strangers: they enter the document as text only.

import { play, streams } from './player.js';

const main = document.querySelector('main');
const state = document.getElementById('state');
const locked = document.getElementById('locked');
const publish = document.getElementById('publish');
const cards = new Map(); // by name of the stream
let rtmp = ''; // rtmp://HOST[:PORT]

const copy = id => document.getElementById(id).content.firstElementChild.cloneNode(true);
const pathOf = name => '/' + name.split('/').map(encodeURIComponent).join('/');
const plural = (count, word) => `${count} ${word}${count === 1 ? '' : 's'}`;

/** Changes a text only if it is another: a reader's selection stays, and screen readers keep still. */
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Fields with a button that copies; `entries` are pairs of label and text. */
function fill(parent, entries) {
  const texts = JSON.stringify(entries);
  if (parent.dataset.texts === texts) return;
  parent.dataset.texts = texts;
  parent.textContent = '';
  for (const [label, text] of entries) {
    const field = copy('url');
    const input = field.querySelector('input');
    const button = field.querySelector('button');
    field.firstElementChild.textContent = label;
    input.value = text;
    button.setAttribute('aria-label', `Copy ${label}`);
    button.onclick = () => {
      input.select();
      // The clipboard's own interface is there with HTTPS only.
      put(button, document.execCommand('copy') ? 'Copied' : 'Select');
      setTimeout(() => put(button, 'Copy'), 2000);
    };
    parent.append(field);
  }
}

function urls(parent, name) {
  const http = location.origin + pathOf(name);
  const query = location.search;
  const own = [['RTMP', `${rtmp}/${name}${query}`]];
  const others = [['HTTP-FLV', '.flv'], ['MP4', '.mp4'], ['HLS', '.m3u8'], ['This page', '']];
  fill(parent, own.concat(others.map(([label, form]) => [label, http + form + query])));
}

/** A player inside `parent`, which calls `stopped` when its button was pressed, if there is one. */
function open(parent, name, stopped) {
  const box = copy('player');
  const [video, message, bar] = box.children;
  const [text, help] = message.children;
  const [sound, full, stop] = bar.children;
  const say = (words, kind) => {
    message.hidden = !words;
    put(text, words);
    if (kind === 'urls') urls(help, name);
    else if (kind !== 'key') help.textContent = delete help.dataset.texts && '';
    else if (!help.firstChild) help.append(copy('key'));
  };
  video.muted = true;
  video.setAttribute('aria-label', name);
  video.onvolumechange = () => put(sound, video.muted ? 'Sound on' : 'Sound off');
  sound.onclick = () => {
    const muted = !video.muted;
    for (const other of document.querySelectorAll('video')) other.muted = true;
    video.muted = muted;
    video.play().catch(() => {});
  };
  video.onclick = () => (video.paused ? video.play().catch(() => {}) : sound.onclick());
  full.onclick = () => {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (box.requestFullscreen) box.requestFullscreen();
    else video.webkitEnterFullscreen(); // iPhone
  };
  full.hidden = !document.fullscreenEnabled && !video.webkitEnterFullscreen;
  stop.hidden = !stopped;
  parent.append(box);
  const end = play(video, pathOf(name), name, say);
  stop.onclick = () => {
    end();
    box.remove();
    stopped();
  };
  return sound;
}

// ------------------------------------------------------------------------------------- the list

function makeCard(name) {
  const element = copy('card');
  const [screen, title, facts, findings, others] = element.children;
  const button = screen.firstElementChild;
  const link = title.firstElementChild;
  const card = { element, isPlaying: false };
  let since = '';
  let begun = '';
  let pictured = 0;

  link.textContent = name;
  link.href = pathOf(name) + location.search;
  button.setAttribute('aria-label', `Play ${name}`);
  button.onclick = () => {
    card.isPlaying = button.hidden = true;
    open(screen, name, () => {
      card.isPlaying = button.hidden = false;
      button.focus();
    }).focus();
  };

  /** The newest keyframe, loaded beside the one that is there. */
  const picture = () => {
    const still = document.createElement('video');
    still.muted = true;
    still.preload = 'auto';
    still.onloadeddata = () => {
      button.firstElementChild.textContent = '';
      button.firstElementChild.append(still);
    };
    still.src = `${pathOf(name)}/frame.mp4${location.search}`;
  };

  card.update = stream => {
    // By this machine's clock: a server without a battery may have no idea of the time.
    if (since !== stream.since) {
      since = stream.since;
      begun = clock(new Date(Date.now() - stream.uptime_s * 1000));
    }
    put(facts, describe(stream, begun));
    const texts = stream.findings.map(f => f.text);
    if (findings.dataset.texts !== texts.join()) {
      findings.dataset.texts = texts.join();
      findings.textContent = '';
      for (const text of texts) findings.appendChild(document.createElement('li')).textContent = text;
    }
    findings.hidden = !texts.length;
    urls(others.lastElementChild, name);
    if (stream.is_live && stream.video && !card.isPlaying && !document.hidden && Date.now() - pictured > 20000) {
      pictured = Date.now();
      picture();
    }
  };
  return card;
}

function clock(date) {
  const time = { hour: '2-digit', minute: '2-digit' };
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday ? date.toLocaleTimeString([], time) : date.toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });
}

/** "H.264 1280×720 29.97 fps · AAC 48 kHz stereo · 2.5 Mbit/s · 3 viewers · since 08:00" */
function describe({ is_live, video, audio, kbit_s_in, viewers }, begun) {
  const facts = [];
  if (!is_live) facts.push('waiting for its publisher');
  if (video) {
    const { codec, width, height, frame_rate } = video;
    facts.push(codec + (width ? ` ${width}×${height}` : '') + (frame_rate ? ` ${+(+frame_rate).toFixed(2)} fps` : ''));
  }
  if (audio) {
    const channels = ['', 'mono', 'stereo'][audio.channels] || plural(audio.channels, 'channel');
    facts.push(`${audio.codec} ${audio.sample_rate / 1000} kHz ${channels}`);
  }
  if (kbit_s_in) facts.push(kbit_s_in < 1000 ? `${kbit_s_in} kbit/s` : `${(kbit_s_in / 1000).toFixed(1)} Mbit/s`);
  return facts.concat(plural(viewers, 'viewer'), `since ${begun}`).join(' · ');
}

function show(list) {
  const live = list.streams.filter(s => s.is_live).length;
  put(state, live ? `${plural(live, 'stream')} live` : 'Nothing is live.');
  for (const stream of list.streams) {
    if (!cards.has(stream.name)) {
      cards.set(stream.name, makeCard(stream.name));
      main.append(cards.get(stream.name).element);
    }
    cards.get(stream.name).update(stream);
  }
  for (const [name, card] of cards) {
    // One that is being watched stays, and waits for its publisher.
    if (card.isPlaying || list.streams.some(s => s.name === name)) continue;
    card.element.remove();
    cards.delete(name);
  }

  if (list.locked && !locked.firstChild) {
    const words = /[?&]key=/.test(location.search) ? 'There are streams that want another key.' : 'There are streams that want a key.';
    locked.append(words, copy('key'));
  }
  locked.hidden = !list.locked;

  const isEmpty = !list.streams.length;
  if (publish.hidden || publish.dataset.empty !== `${isEmpty}`) publish.open = isEmpty;
  publish.dataset.empty = isEmpty;
  publish.hidden = false;
  fill(publish.children[1], [
    ['RTMP URL', `${rtmp}/live/cam`],
    ['OBS: Server', `${rtmp}/live`],
    ['Stream Key', 'cam'],
    ['ffmpeg', `ffmpeg -re -i INPUT -c copy -f flv ${rtmp}/live/cam`],
  ]);
}

let timer;
async function poll() {
  const list = await streams();
  if (list) {
    const { rtmp_port } = list.server;
    rtmp = `rtmp://${location.hostname}${rtmp_port === 1935 ? '' : ':' + rtmp_port}`;
    if (!alone) show(list);
  } else {
    put(state, 'The server does not answer. Trying again …');
  }
  clearTimeout(timer);
  timer = setTimeout(poll, document.hidden || alone ? 20000 : 2000);
}

const alone = location.pathname.replace(/^\/+|\/+$/g, '');
if (alone) {
  let name = alone;
  try {
    name = alone.split('/').map(decodeURIComponent).join('/');
  } catch (_) {
    // Not encoded; then it is what it looks like.
  }
  document.title = name;
  document.body.className = 'alone';
  open(main, name);
} else {
  document.addEventListener('visibilitychange', poll);
}
poll();
