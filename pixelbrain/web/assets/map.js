"use strict";
// The map: points on a canvas, pictures where there is room for them, a line around what is chosen.
{
  /** For the page as it came, and as work.js puts it anew after something was said. */
  function begin() {
    const choice = document.getElementById("map-choice");
    if (!choice || choice.dataset.begun) return;
    choice.dataset.begun = "yes";
    choice.addEventListener("change", () => choice.requestSubmit());
    choice.querySelector("button").hidden = true;
    const root = document.getElementById("map");
    if (root) start(root, choice);
  }
  begin();
  new MutationObserver(begin).observe(document.body, { childList: true });

  async function start(root, choice) {
    const canvas = root.querySelector("canvas");
    const context = canvas.getContext("2d");
    const card = root.querySelector(".map-card");
    const link = root.querySelector("a.frame"); // photo.js opens it over the map
    const legend = document.getElementById("map-legend");
    const said = document.getElementById("map-said");
    const bar = document.querySelector(".map-chosen");
    const button = (what) => document.querySelector(`[data-do="${what}"]`);
    const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
    const last = digits.length ** 2 - 1; // a line's corners are whole numbers up to this: an address holds them
    const ofFaces = "faces" in root.dataset;
    const thing = (n) => `${n.toLocaleString("en")} ${ofFaces ? "face" : "photo"}${n === 1 ? "" : "s"}`;

    let data;
    try {
      const reply = await fetch(root.dataset.points);
      if (!reply.ok) throw new Error(reply.status);
      data = read(await reply.arrayBuffer());
    } catch {
      bar.hidden = false;
      said.textContent = "The map could not be loaded: does `pixelbrain open` still run? Load the page again.";
      return;
    }
    const { n, x, y, codes } = data;

    /** What the server sent; see `MapPages.points`. x and y are 0 to 1 in the square. */
    function read(buffer) {
      const view = new DataView(buffer);
      const n = view.getUint32(0, true);
      const [left, top, side] = [4, 8, 12].map((at) => view.getFloat32(at, true));
      let at = 16;
      const take = (Kind, count) => {
        const found = new Kind(buffer.slice(at, at + count * Kind.BYTES_PER_ELEMENT));
        at += count * Kind.BYTES_PER_ELEMENT;
        return found;
      };
      const x = Float64Array.from(take(Float32Array, n), (one) => (one - left) / side);
      const y = Float64Array.from(take(Float32Array, n), (one) => (one - top) / side);
      const keys = take(Uint32Array, 2 * n);
      const photos = ofFaces ? take(Uint32Array, 2 * n) : keys;
      return { n, x, y, keys, photos, codes: take(Uint8Array, n) };
    }
    const hex = (keys, at) => [keys[2 * at + 1], keys[2 * at]].map((one) => one.toString(16).padStart(8, "0")).join("");
    const picture = (at) =>
      `${ofFaces ? `/faces/${hex(data.keys, at)}/crop` : `/thumbnails/${hex(data.keys, at)}`}?v=${root.dataset.stamp}`;
    const photo = (at) => `/photos/${hex(data.photos, at)}${ofFaces ? `#f-${hex(data.keys, at)}` : ""}`;

    // --- what is to be seen: the middle of the square that is in the middle, and how near it is --------------------

    const eye = { x: 0.5, y: 0.5, near: 1 };
    let [width, height] = [1, 1];
    const [wide, high] = [x, y].map((all) => all.reduce((most, one) => Math.max(most, Math.abs(one - 0.5)), 0.01));
    /** Pixels of the square's side: at 1 all places are to be seen, with room for pictures at the edges. */
    const scale = () => (eye.near * Math.min(Math.max(width - 110, 80) / wide, Math.max(height - 110, 80) / high)) / 2;
    const across = (u) => width / 2 + (u - eye.x) * scale();
    const down = (v) => height / 2 + (v - eye.y) * scale();
    const back = (px, py) => [eye.x + (px - width / 2) / scale(), eye.y + (py - height / 2) / scale()];

    const here = new URL(location);
    const at = (here.searchParams.get("at") || "").split(",").map(Number);
    if (at.length === 3 && at.every(Number.isFinite) && at[2] >= 1) [eye.x, eye.y, eye.near] = at;
    let area = here.searchParams.get("area") || "";
    let shown = new Uint8Array(16).fill(1); // by code: whether the legend shows it
    let line = area && area.startsWith(`${root.dataset.name}~${root.dataset.made}~`) ? corners(area) : null;
    let chosen = null; // by place: whether it is inside of the line
    let hovered = -1;

    function toward(factor, px = width / 2, py = height / 2) {
      const [u, v] = back(px, py);
      eye.near = Math.min(Math.max(eye.near * factor, 1), 20000);
      const [u2, v2] = back(px, py);
      move(u - u2, v - v2);
    }
    function move(du, dv) {
      eye.x = Math.min(Math.max(eye.x + du, 0), 1);
      eye.y = Math.min(Math.max(eye.y + dv, 0), 1);
      soon();
    }

    // --- a grid, to find what is near -----------------------------------------------------------------------------

    const cells = Math.max(1, Math.min(512, Math.ceil(Math.sqrt(n / 4))));
    const cell = (u) => Math.min(cells - 1, Math.max(0, Math.floor(u * cells)));
    const starts = new Uint32Array(cells * cells + 1);
    for (let i = 0; i < n; i++) starts[cell(y[i]) * cells + cell(x[i]) + 1]++;
    for (let i = 0; i < cells * cells; i++) starts[i + 1] += starts[i];
    const filed = new Uint32Array(n);
    const next = starts.slice();
    for (let i = 0; i < n; i++) filed[next[cell(y[i]) * cells + cell(x[i])]++] = i;

    /** Calls `see` with each place that the legend shows between two corners. */
    function between(u1, v1, u2, v2, see) {
      for (let row = cell(v1); row <= cell(v2); row++) {
        for (let k = starts[row * cells + cell(u1)]; k < starts[row * cells + cell(u2) + 1]; k++) {
          const i = filed[k];
          if (shown[codes[i]] && x[i] >= u1 && x[i] <= u2 && y[i] >= v1 && y[i] <= v2) see(i);
        }
      }
    }
    function inView() {
      const found = [];
      between(...back(0, 0), ...back(width, height), (i) => found.push(i));
      return found;
    }

    // --- drawing --------------------------------------------------------------------------------------------------

    let colours;
    function readColours() {
      colours = [...Array(13).keys()].map((code) => {
        const swatch = document.createElement("i");
        swatch.className = `c${code}`;
        root.append(swatch);
        const found = getComputedStyle(swatch).color.match(/[\d.]+/g).slice(0, 3).map(Number);
        swatch.remove();
        return found;
      });
      const ground = getComputedStyle(root).backgroundColor.match(/[\d.]+/g).slice(0, 3).map(Number);
      colours.ground = ground;
      const packed = ([r, g, b]) => (255 << 24) | (b << 16) | (g << 8) | r;
      colours.full = Uint32Array.from(colours, packed);
      colours.dim = Uint32Array.from(colours, (one) => packed(one.map((c, k) => Math.round(0.22 * c + 0.78 * ground[k]))));
    }

    /** Those of the common colours lie over the others, and what is chosen over all. */
    function points(seen, ratio, without) {
      const order = [...Array(26)].map(() => []);
      for (const i of seen) if (!without.has(i)) order[12 - codes[i] + (chosen && !chosen[i] ? 0 : 13)].push(i);
      const many = seen.length;
      if (many > 3000) pixels(order, ratio, Math.max(1, ratio * (many > 20000 ? 1.2 : 2)));
      else discs(order, ratio, ratio * (many > 600 ? 4 : 5.5));
    }
    function discs(order, ratio, radius) {
      context.clearRect(0, 0, canvas.width, canvas.height);
      context.lineWidth = ratio;
      context.strokeStyle = `rgb(${colours.ground.join()})`;
      for (const [pass, some] of order.entries()) {
        context.fillStyle = `rgb(${colours[12 - (pass % 13)].join()})`;
        context.globalAlpha = pass < 13 ? 0.22 : 1;
        for (const i of some) {
          context.beginPath();
          context.arc(across(x[i]) * ratio, down(y[i]) * ratio, radius, 0, 7);
          context.fill();
          context.stroke();
        }
      }
      context.globalAlpha = 1;
    }
    /** 100,000 in some milliseconds. */
    function pixels(order, ratio, radius) {
      const [w, h] = [canvas.width, canvas.height];
      const image = context.createImageData(w, h);
      const into = new Uint32Array(image.data.buffer);
      const mask = [];
      for (let dy = -Math.ceil(radius); dy <= radius; dy++) {
        for (let dx = -Math.ceil(radius); dx <= radius; dx++) if (Math.hypot(dx, dy) <= radius + 0.3) mask.push(dx, dy);
      }
      for (const [pass, some] of order.entries()) {
        const colour = (pass < 13 ? colours.dim : colours.full)[12 - (pass % 13)];
        for (const i of some) {
          const px = Math.round(across(x[i]) * ratio);
          const py = Math.round(down(y[i]) * ratio);
          for (let k = 0; k < mask.length; k += 2) {
            const [qx, qy] = [px + mask[k], py + mask[k + 1]];
            if (qx >= 0 && qy >= 0 && qx < w && qy < h) into[qy * w + qx] = colour;
          }
        }
      }
      context.putImageData(image, 0, 0);
    }

    // Pictures: so many are kept, and so many asked for at once.
    const kept = new Map();
    let wanted = [];
    let asked = 0;
    function pictureOf(i) {
      const found = kept.get(i);
      if (found) {
        kept.delete(i);
        kept.set(i, found);
      } else wanted.push(i);
      return found;
    }
    function ask() {
      while (wanted.length && asked < 6) {
        const i = wanted.shift();
        if (kept.has(i)) continue;
        const image = new Image();
        kept.set(i, image);
        asked++;
        image.onload = image.onerror = () => {
          asked--;
          soon();
        };
        image.src = picture(i);
      }
      for (const i of kept.keys()) {
        if (kept.size <= 600) break;
        kept.delete(i);
      }
    }

    /** Which places are shown as pictures: as many as have room, the same ones wherever the eye goes. */
    let tiles = [];
    function place(seen) {
      const size = width < 600 ? 52 : 72;
      tiles = [];
      if (seen.length > (5 * width * height) / (size * size)) return size;
      const taken = new Map();
      for (const i of [...seen].sort((a, b) => a - b)) {
        if (tiles.length >= 200) break;
        if (chosen && !chosen[i]) continue;
        const [px, py] = [across(x[i]), down(y[i])];
        const [col, row] = [Math.floor(px / size), Math.floor(py / size)];
        let free = true;
        for (let r = row - 1; free && r <= row + 1; r++) {
          for (let c = col - 1; free && c <= col + 1; c++) {
            const other = taken.get(`${c},${r}`);
            free = !other || Math.abs(other.px - px) >= size + 4 || Math.abs(other.py - py) >= size + 4;
          }
        }
        if (!free) continue;
        const tile = { i, px, py, under: 0 };
        taken.set(`${col},${row}`, tile);
        tiles.push(tile);
      }
      for (const i of seen) {
        const tile = tiles.length && under(across(x[i]), down(y[i]), size, taken);
        if (tile) tile.under++;
      }
      return size;
    }
    function under(px, py, size, taken) {
      const [col, row] = [Math.floor(px / size), Math.floor(py / size)];
      for (let r = row - 1; r <= row + 1; r++) {
        for (let c = col - 1; c <= col + 1; c++) {
          const one = taken.get(`${c},${r}`);
          if (one && Math.abs(one.px - px) <= size / 2 && Math.abs(one.py - py) <= size / 2) return one;
        }
      }
    }

    function drawTile({ i, px, py, under }, size) {
      const image = pictureOf(i);
      const [r, g, b] = colours[codes[i]];
      const [left, top, s] = [px - size / 2, py - size / 2, size];
      if (!image?.complete || !image.naturalWidth) return;
      context.save();
      context.beginPath();
      context.roundRect(left, top, s, s, 8);
      context.fillStyle = `rgb(${colours.ground.join()})`;
      context.fill();
      context.clip();
      const short = Math.min(image.naturalWidth, image.naturalHeight);
      const [sx, sy] = [(image.naturalWidth - short) / 2, (image.naturalHeight - short) / 5]; // heads are above
      context.drawImage(image, sx, sy, short, short, left, top, s, s);
      context.restore();
      context.beginPath();
      context.roundRect(left, top, s, s, 8);
      context.lineWidth = 3;
      context.strokeStyle = `rgb(${r},${g},${b})`;
      context.stroke();
      if (under < 2) return;
      const text = under.toLocaleString("en"); // so many lie there
      context.font = "600 12px system-ui, sans-serif";
      const room = context.measureText(text).width + 10;
      context.beginPath();
      context.roundRect(left + s - room + 5, top + s - 13, room, 18, 9);
      context.fillStyle = context.strokeStyle;
      context.fill();
      context.fillStyle = "#fff";
      context.textBaseline = "middle";
      context.fillText(text, left + s - room + 10, top + s - 3.5);
    }

    function drawLine(some, closed) {
      if (some.length < 2) return;
      context.beginPath();
      for (const [u, v] of some) context.lineTo(across(u), down(v));
      if (closed) context.closePath();
      context.lineWidth = 2;
      context.setLineDash(closed ? [] : [6, 4]);
      context.strokeStyle = getComputedStyle(root).color;
      context.stroke();
      context.setLineDash([]);
    }

    function draw() {
      const ratio = Math.min(window.devicePixelRatio || 1, 2);
      const box = canvas.getBoundingClientRect();
      [width, height] = [box.width, box.height];
      const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
      if (!w || !h) return;
      if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
      const seen = inView();
      wanted = [];
      const size = place(seen);
      const ready = new Set(tiles.filter(({ i }) => kept.get(i)?.naturalWidth).map(({ i }) => i));
      context.setTransform(1, 0, 0, 1, 0, 0);
      points(seen, ratio, ready);
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      for (const tile of tiles) drawTile(tile, size);
      if (hovered >= 0 && !ready.has(hovered)) {
        context.beginPath();
        context.arc(across(x[hovered]), down(y[hovered]), 9, 0, 7);
        context.lineWidth = 3;
        context.strokeStyle = getComputedStyle(root).color;
        context.stroke();
      }
      drawLine(line || [], true);
      drawLine(drawn || [], false);
      if (!moving) ask();
      settle(seen.length);
    }
    let due = false;
    function soon() {
      if (due) return;
      due = true;
      requestAnimationFrame(() => {
        due = false;
        draw();
      });
    }

    // --- the address holds it all ---------------------------------------------------------------------------------

    let settling;
    function settle(count) {
      clearTimeout(settling);
      settling = setTimeout(() => {
        if (location.pathname !== "/map") return; // a photo is open over it
        const url = new URL(location);
        const put = (name, value) => (value ? url.searchParams.set(name, value) : url.searchParams.delete(name));
        const where = eye.near > 1 ? [eye.x.toFixed(5), eye.y.toFixed(5), +eye.near.toPrecision(5)].join() : "";
        put("at", where);
        put("area", area);
        url.searchParams.delete("show");
        const boxes = [...legend.querySelectorAll("[name=show]")];
        if (!boxes.every((one) => one.checked)) {
          for (const one of boxes.filter((one) => one.checked)) url.searchParams.append("show", one.value);
        }
        history.replaceState(history.state, "", url);
        for (const form of [choice, legend]) for (const [name, value] of [["at", where], ["area", area]]) hold(form, name, value);
        const count2 = chosen ? chosen.reduce((sum, one) => sum + one, 0) : count;
        const text = chosen ? `${thing(count2)} chosen.` : `${thing(count)} in view.`;
        bar.hidden = false;
        if (said.textContent !== text) said.textContent = text;
        const part = chosen ? area : address(frame());
        for (const one of bar.querySelectorAll("[data-to]")) {
          one.href = `${one.dataset.to}?area=${encodeURIComponent(part)}`;
          one.hidden = !count2;
        }
        button("clear").hidden = !chosen;
      }, 150);
    }
    function hold(form, name, value) {
      if (!form) return;
      let field = form.querySelector(`input[name=${name}]`);
      if (!field && value) {
        field = document.createElement("input");
        [field.type, field.name] = ["hidden", name];
        form.append(field);
      }
      if (field) [field.value, field.disabled] = [value, !value];
    }

    // --- a part of it; see web/data/area.py -----------------------------------------------------------------------

    const whole = (u) => Math.min(last, Math.max(0, Math.round(u * last)));
    const frame = () => {
      const [[u1, v1], [u2, v2]] = [back(0, 0), back(width, height)];
      return [[u1, v1], [u2, v1], [u2, v2], [u1, v2]];
    };
    function address(some) {
      const told = some.flat().map(whole).map((one) => digits[one >> 6] + digits[one & 63]).join("");
      const boxes = [...legend.querySelectorAll("[name=show]")];
      const keys = boxes.every((one) => one.checked) ? [] : boxes.filter((one) => one.checked).map((one) => one.value);
      return [root.dataset.name, root.dataset.made, root.dataset.colour, keys.join("."), told].join("~");
    }
    function corners(text) {
      const told = text.split("~")[4] || "";
      const numbers = [...told.matchAll(/../g)].map(([two]) => digits.indexOf(two[0]) * 64 + digits.indexOf(two[1]));
      const found = [];
      for (let k = 0; k + 1 < numbers.length; k += 2) found.push([numbers[k] / last, numbers[k + 1] / last]);
      return found.length > 2 ? found : null;
    }
    /** By place, whether it is inside of the line, and shown: as the server counts them. */
    function inside() {
      if (!line) return null;
      const found = new Uint8Array(n);
      for (let k = 0; k < line.length; k++) {
        const [[x1, y1], [x2, y2]] = [line[k], line[(k + 1) % line.length]];
        for (let i = 0; i < n; i++) {
          if (y1 > y[i] !== y2 > y[i] && x[i] < ((x2 - x1) * (y[i] - y1)) / (y2 - y1) + x1) found[i] ^= 1;
        }
      }
      for (let i = 0; i < n; i++) found[i] &= shown[codes[i]];
      return found;
    }
    function choose(some) {
      if (some) {
        const every = Math.max(1, Math.ceil(some.length / 140));
        area = address(some.filter((_one, k) => k % every === 0));
        line = corners(area);
      } else [area, line] = ["", null];
      chosen = inside();
      soon();
    }

    // --- the mouse, fingers, and the keyboard ---------------------------------------------------------------------

    const fingers = new Map();
    let drawn = null;
    let drawing = false;
    let moving = false;
    let gone = 0; // pixels, since the finger came down: a click goes nowhere

    function place2(event) {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    }
    function near(px, py) {
      const size = width < 600 ? 52 : 72;
      for (const { i, px: tx, py: ty } of [...tiles].reverse()) {
        if (kept.get(i)?.naturalWidth && Math.abs(tx - px) <= size / 2 && Math.abs(ty - py) <= size / 2) return i;
      }
      return nearest(px, py, 14);
    }
    function nearest(px, py, reach) {
      let [best, least] = [-1, reach * reach];
      between(...back(px - reach, py - reach), ...back(px + reach, py + reach), (i) => {
        const far = (across(x[i]) - px) ** 2 + (down(y[i]) - py) ** 2;
        if (far < least) [best, least] = [i, far];
      });
      return best;
    }

    const about = new Map();
    let telling;
    async function hover(i, aloud) {
      if (i === hovered) return;
      hovered = i;
      root.classList.toggle("over", i >= 0);
      clearTimeout(telling);
      card.hidden = true;
      soon();
      if (i < 0) return;
      telling = setTimeout(async () => {
        try {
          if (!about.has(i)) {
            const query = new URLSearchParams({ key: hex(data.keys, i), ...(ofFaces ? { faces: 1 } : {}) });
            about.set(i, await (await fetch(`/map/about?${query}`)).json());
          }
          if (hovered !== i) return;
          const told = about.get(i);
          card.querySelector("img").src = told.picture;
          card.querySelector(".name").textContent = told.name;
          card.querySelector(".note").textContent = told.text;
          card.hidden = false;
          const [px, py] = [across(x[i]), down(y[i])];
          const [w, h] = [card.offsetWidth, card.offsetHeight];
          const left = px + 24 + w > width ? px - 24 - w : px + 24;
          card.style.transform = `translate(${Math.max(4, left)}px, ${Math.min(Math.max(4, py - h / 2), height - h - 4)}px)`;
          if (aloud) said.textContent = `${told.name}. ${told.text}`;
        } catch {
          // it went; the next load of the page has it no more
        }
      }, 90);
    }
    function open(i, event) {
      if (i < 0) return;
      if (event?.ctrlKey || event?.metaKey) window.open(photo(i), "_blank", "noopener");
      else {
        link.href = photo(i);
        link.click();
      }
    }

    canvas.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      canvas.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, place2(event));
      gone = 0;
      moving = true;
      if (fingers.size === 1 && (drawing || event.shiftKey)) drawn = [back(...place2(event))];
      else drawn = null;
      root.classList.toggle("moving", !drawn);
      root.classList.toggle("drawing", drawing || Boolean(drawn));
    });
    canvas.addEventListener("pointermove", (event) => {
      const to = place2(event);
      const from = fingers.get(event.pointerId);
      if (!from) {
        if (event.pointerType === "mouse") hover(near(...to));
        return;
      }
      gone += Math.hypot(to[0] - from[0], to[1] - from[1]);
      if (drawn) {
        drawn.push(back(...to));
        soon();
      } else if (fingers.size === 1) {
        move((from[0] - to[0]) / scale(), (from[1] - to[1]) / scale());
      } else {
        const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
        const apart = (one) => Math.hypot(one[0] - other[0], one[1] - other[1]) || 1;
        toward(apart(to) / apart(from), (to[0] + other[0]) / 2, (to[1] + other[1]) / 2);
      }
      fingers.set(event.pointerId, to);
      if (gone > 6) hover(-1);
    });
    function up(event) {
      if (!fingers.delete(event.pointerId) || fingers.size) return;
      moving = false;
      root.classList.remove("moving");
      const line2 = drawn;
      drawn = null;
      if (line2 && line2.length > 3 && gone > 12) {
        choose(line2);
        press(false);
      } else if (gone <= 6 && event.type === "pointerup" && !line2) {
        const i = near(...place2(event));
        if (event.pointerType === "touch" && i !== hovered) hover(i);
        else open(i, event);
      }
      root.classList.toggle("drawing", drawing);
      soon();
    }
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointercancel", up);
    canvas.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && !fingers.size && hover(-1));
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const lines = event.deltaMode ? 20 : 1;
      toward(Math.exp(-Math.max(-300, Math.min(300, event.deltaY * lines)) / 300), ...place2(event));
      hover(-1);
    }, { passive: false });

    const middle = () => hover(nearest(width / 2, height / 2, Math.min(width, height) / 3), true);
    const keys = {
      ArrowLeft: () => move(-0.15 * width / scale(), 0),
      ArrowRight: () => move(0.15 * width / scale(), 0),
      ArrowUp: () => move(0, -0.15 * height / scale()),
      ArrowDown: () => move(0, 0.15 * height / scale()),
      "+": () => toward(1.5),
      "=": () => toward(1.5),
      "-": () => toward(1 / 1.5),
      0: () => ([eye.x, eye.y, eye.near] = [0.5, 0.5, 1]) && soon(),
      Escape: () => (drawing ? press(false) : choose(null)),
      Enter: () => open(hovered),
    };
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
      event.preventDefault();
      event.stopPropagation();
      keys[event.key]();
      if (event.key !== "Enter" && event.key !== "Escape") requestAnimationFrame(middle);
    });
    canvas.addEventListener("blur", () => hover(-1));
    link.addEventListener("focus", () => canvas.focus({ preventScroll: true })); // when the photo is closed

    function press(on) {
      drawing = on;
      button("draw").setAttribute("aria-pressed", String(on));
      root.classList.toggle("drawing", on);
    }
    const does = {
      in: () => toward(1.6),
      out: () => toward(1 / 1.6),
      all: keys[0],
      draw: () => press(!drawing),
      clear: () => choose(null),
      every: () => tick(true),
      none: () => tick(false),
    };
    for (const [what, act] of Object.entries(does)) button(what).addEventListener("click", act);
    for (const what of ["every", "none"]) button(what).hidden = false;
    root.querySelector(".map-buttons").hidden = false;

    function tick(on) {
      for (const one of legend.querySelectorAll("[name=show]")) one.checked = on;
      filter();
    }
    function filter() {
      shown = new Uint8Array(16);
      for (const one of legend.querySelectorAll("[name=show]")) if (one.checked) shown[one.dataset.code] = 1;
      if (line) choose(line);
      hover(-1);
      soon();
    }
    legend.addEventListener("change", filter);
    legend.addEventListener("submit", (event) => event.preventDefault());

    readColours();
    filter();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      readColours();
      soon();
    });
    new ResizeObserver(soon).observe(canvas);
    root.dataset.ready = "yes";
  }
}
