// The recordings of a stream: a player, a day as a time line, and an hour of it. The address says which:
// #recordings, #2026-11-28 (a day here) or #2026-11-28T11:30:00.000Z.

import { TEXTS, aKey, ask, encode, isGtk, query, sleep, start, streams } from './player.js';
import { add, copy, format, open, pathOf, put, showRecording } from './parts.js';

const MINUTE = 60000;
const HOUR = 60 * MINUTE;

/** Midnight before a moment, or `days` later: some days have 23 or 25 hours. */
function midnight(moment, days = 0) {
  const date = new Date(moment);
  return +new Date(date.getFullYear(), date.getMonth(), date.getDate() + days);
}
const dayOf = moment => '#' + new Date(moment).toLocaleDateString('sv');

/** Shows the recordings of `name` in `main`; returns a function to call when the address has changed. */
export function past(main, name) {
  const view = copy('past');
  const url = (from, to) => `${pathOf(`recordings/${name}`)}.mp4${query}&from=${Math.ceil(from)}&to=${Math.ceil(to)}`;
  const [state, screen, days, dayLine, hourLine, tools, part] = view.children;
  const [clock, back, forth, calendar] = days.children;
  const [pause, live, last, choose] = tools.children;
  const [partText, beginHere, endHere, save, cancel] = part.children;
  let spans = [];
  let isGrowing, isLive, player, shown, dragged, cut;
  let [begin, end] = [0, 0]; // of the day
  let position = Date.now();

  const next = (moment, isEnd) => {
    const span = spans.find(s => s.to > moment + 200);
    if (span) return isEnd ? span.to : Math.max(moment, span.from);
    return isGrowing ? moment + (isEnd ? HOUR : 0) : undefined;
  };
  const isThere = (from, to) => spans.some(s => s.from < to && s.to > from);
  // An hour may be there twice.
  const timeOf = moment => format(moment, { timeStyle: end - begin === 24 * HOUR ? 'medium' : 'long' });

  const lines = [dayLine, hourLine].map((element, isHour) => {
    const [bars, ticks, slider, ...ends] = element.children;
    const line = {};
    let from, to;
    const left = moment => `${Math.min(Math.max((moment - from) / (to - from), 0), 1) * 100}%`;
    const addBar = (begin, end, className) => {
      const bar = add(bars, 'i', '');
      bar.className = className;
      bar.style.left = left(begin);
      bar.style.right = `calc(100% - ${left(end)})`;
    };

    line.set = (newFrom, newTo) => {
      [from, to] = [newFrom, newTo];
      for (const input of [slider, ...ends]) [input.min, input.max] = [from, to];
      ticks.textContent = '';
      for (let moment = from; moment < to; moment += isHour ? 5 * MINUTE : HOUR) {
        const date = new Date(moment);
        const tick = add(ticks, 'i', isHour ? format(moment, { timeStyle: 'short' }) : date.getHours());
        tick.style.left = left(moment);
        if ((isHour ? date.getMinutes() / 5 : date.getHours()) % 3) tick.className = 'minor';
      }
      line.draw();
      slider.value = position;
    };
    line.draw = () => {
      bars.textContent = '';
      for (const span of spans) if (span.from < to && span.to > from) addBar(span.from, span.to, '');
      if (cut) addBar(...cut, 'cut');
      ends.forEach((input, i) => ([input.hidden, input.value] = [!cut, cut && cut[i]]));
    };
    line.update = () => {
      if (isHour && !(position >= from && position < to) && !dragged) {
        const hour = new Date(position).setMinutes(0, 0, 0);
        line.set(hour, hour + HOUR);
      }
      slider.value = position;
      slider.setAttribute('aria-valuetext', timeOf(position));
      slider.classList.toggle('off', position < from || position > to);
    };
    slider.oninput = () => tick((dragged = +slider.value));
    slider.onchange = slider.onpointerup = slider.onpointercancel = () => {
      if (dragged) seek(dragged);
      dragged = undefined;
    };
    // On the knob, and on iPhones, a click moves nothing.
    slider.onclick = ({ detail, clientX }) => {
      const moment = from + ((clientX - element.offsetLeft) / element.offsetWidth) * (to - from);
      if (detail && Math.abs(moment - position) > slider.step) seek(moment);
    };
    ends.forEach((input, i) => (input.oninput = () => setCut(i, +input.value)));
    return line;
  });

  const draw = () => lines.forEach(line => line.draw());

  /** Moves an end of the part, and the other one out of its way. */
  function setCut(which, moment) {
    cut = cut || [position, position + MINUTE];
    cut[which] = moment;
    if (cut[1] < cut[0] + 1000) cut[1 - which] = moment + (which ? -1000 : 1000);
    save.hidden = !isThere(...cut);
    put(partText, `${timeOf(cut[0])} – ${timeOf(cut[1])}${save.hidden ? ': nothing' : ''}`);
    save.href = `${url(...cut)}&download`;
    draw();
  }

  function setDay(moment) {
    [begin, end] = [midnight(moment), midnight(moment, 1)];
    lines[0].set(begin, end);
    back.href = dayOf(midnight(begin, -1));
    forth.href = dayOf(end);
    const [title, weeks] = calendar.children;
    put(title, format(begin, { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' }));
    calendar.open = false;
    weeks.textContent = '';
    const first = new Date(spans.length ? spans[0].from : begin);
    // From a Monday on.
    for (let day = midnight(first, -((first.getDay() + 6) % 7)); day < Date.now(); day = midnight(day, 1)) {
      const number = new Date(day).getDate();
      const cell = add(weeks, 'a', number > 1 && weeks.lastChild ? number : format(day, { day: 'numeric', month: 'short' }));
      if (isThere(day, midnight(day, 1))) cell.href = dayOf(day);
      if (day === begin) cell.setAttribute('aria-current', 'date');
    }
  }

  function show(play) {
    if (player) player.close();
    shown = undefined;
    player = open(screen, name, undefined, play);
    if (shown) player.video.onclick = toggle;
  }

  /** Plays what is recorded from a moment on without a gap, ten minutes at a time. */
  function replay(video, say, wanted) {
    let begun; // the moment at which the video begins, once it is known
    let turn = 0;
    const wall = () => (begun ? begun + video.currentTime * 1000 : wanted);

    async function load(moment) {
      const mine = ++turn;
      [wanted, begun] = [moment, 0];
      for (; mine === turn; await sleep(3)) {
        const from = next(moment);
        try {
          if (!from) return say('The recording ends here.');
          // It begins with the keyframe before, and must not grow while it plays.
          const end = Math.min(from + 10 * MINUTE, next(from, true));
          const answer = await fetch(url(from, end), { headers: { Range: 'bytes=0-0' } });
          const text = await answer.text();
          if (mine !== turn) return;
          if (answer.ok) {
            begun = Date.parse(answer.headers.get('recording-from'));
            video.src = url(from, Date.parse(answer.headers.get('recording-to')) - 10);
            const jump = () => (video.currentTime = Math.max(0, from - begun) / 1000);
            // Before it has decoders, a jump hangs WebKitGTK.
            if (isGtk) video.onloadeddata = jump;
            else jump();
            return start(video);
          }
          if (answer.status === 415) {
            const all = await ask('recordings', `&stream=${encode(name)}&from=${Math.ceil(from)}`);
            const { name: file } = (all && all.recordings[0].files[0]) || {};
            return say('Recorded as FLV, for other players:', file && { name: file, url: `${pathOf(`recordings/${name}/${file}`)}${query}` });
          }
          if (/40[13]/.test(answer.status)) say(`The recordings of ${name} want ${aKey}.`, 'key');
          else say(`${text.trim()}. Trying again …`);
        } catch (_) {
          say(TEXTS.silent);
        }
      }
    }

    const seek = moment => {
      const second = (moment - begun) / 1000;
      if (!(begun && second >= 0 && second < video.duration)) return load(moment);
      video.currentTime = second;
      start(video);
    };
    video.onwaiting = () => say('Loading …');
    // WebKitGTK doesn't always say that it plays again.
    video.onplaying = video.ontimeupdate = () => begun && say('');
    video.onended = () => (isLive && isGrowing && Date.now() - wall() < 10000 ? live.click() : load(wall() + 100));
    video.onerror = () => {
      // 2: the connection broke.
      if (video.error.code === 2) load(wall());
      else say('This browser cannot play it. Others may.');
    };
    load(wanted);
    shown = { seek, wall };
    return () => {
      turn++;
      video.onerror = video.onended = video.ontimeupdate = null;
      video.removeAttribute('src');
      video.load();
    };
  }

  function seek(moment) {
    moment = next(moment) || (spans.length && spans[spans.length - 1].to - 5000);
    if (!moment) return;
    history.replaceState(null, '', '#' + new Date(moment).toISOString());
    if (shown) shown.seek(moment);
    else show((video, say) => replay(video, say, moment));
    tick();
  }

  const toggle = () => player.video[player.video.paused ? 'play' : 'pause']();

  function tick() {
    const before = position;
    position = dragged || (shown ? shown.wall() : Date.now());
    // The day follows, unless another one is looked at.
    if (before >= begin && before < end && (position < begin || position > end)) setDay(position);
    lines.forEach(line => line.update());
    put(clock, timeOf(position));
    put(pause, player && player.video.paused ? 'Play' : 'Pause');
    pause.hidden = !shown;
    live.hidden = !isLive || !shown;
    last.hidden = !isLive;
    part.hidden = !cut;
  }

  function go() {
    const text = location.hash.slice(1);
    const isDay = /^[\d-]{10}$/.test(text);
    const moment = Date.parse(isDay ? `${text}T00:00` : text);
    setDay(moment || Date.now());
    if (isDay && player) return;
    // Which may ask for a key.
    if (!spans.length || (!moment && isLive)) show();
    else seek(moment || Date.now());
  }

  (async function poll() {
    const [list, all] = await Promise.all([streams(), ask('recordings')]);
    if (list && all) {
      const stream = list.streams.find(s => s.name === name) || { name };
      const found = all.recordings.find(r => r.stream === name) || { spans: [] };
      spans = found.spans.map(s => ({ from: Date.parse(s.from), to: Date.parse(s.to) }));
      [isGrowing, isLive] = [found.is_recording, stream.is_live];
      showRecording(state, stream, list.disk, []);
      if (player) draw();
      else go();
    } else put(state.firstElementChild, TEXTS.silent);
    setTimeout(poll, player ? 10000 : 1000);
  })();

  last.href = `${pathOf(name)}.mp4${query}&last=30s&download`;
  pause.onclick = toggle;
  choose.onclick = beginHere.onclick = () => setCut(0, position);
  endHere.onclick = () => setCut(1, position);
  cancel.onclick = () => draw((cut = undefined));
  document.onkeydown = ({ key, target, ctrlKey, altKey, metaKey }) => {
    if (ctrlKey || altKey || metaKey || target.type === 'range') return;
    const by = { ArrowLeft: -10000, ArrowRight: 10000 }[key];
    if (by) seek(position + by);
    else if (key === ' ' && shown && target === document.body) toggle();
    else return;
    return false;
  };
  main.append(view);
  setInterval(tick, 250);
  return go;
}
