"use strict";
// Every page works without this. With it forms leave the page where it is, and the keyboard is enough.
{
  const main = () => document.getElementById("main");
  const seen = (element) => element.getClientRects().length > 0;

  /** What is on top: a dialog, or the page. */
  const top = () => document.querySelector("dialog[open]") ?? document;

  /** Say something where pages say it. */
  function say(text, good = false) {
    document.getElementById("said")?.remove();
    const line = document.createElement("div");
    line.id = "said";
    line.className = good ? "said" : "said bad";
    line.setAttribute("role", good ? "status" : "alert");
    line.append(document.createElement("p"));
    line.firstChild.textContent = text;
    main().prepend(line);
  }

  /** The page's address, without the message that was shown. */
  function withoutNote(address) {
    const url = new URL(address);
    url.searchParams.delete("note");
    return url.pathname + url.search + url.hash;
  }

  /** Put the content of another page in the place of this one's; the eye and the keyboard stay where they were. */
  async function show(reply, focus, place) {
    const page = new DOMParser().parseFromString(await reply.text(), "text/html");
    const fresh = page.getElementById("main");
    if (!fresh) throw new Error("no page");
    const refused = fresh.querySelector("#said.bad");
    if (refused && page.body.dataset.stamp === document.body.dataset.stamp) {
      say(refused.textContent.trim()); // nothing is another one: what was picked and written stays
      return;
    }
    const elsewhere = document.activeElement !== document.body && !main().contains(document.activeElement);
    const height = window.scrollY;
    const dialog = main().closest("dialog");
    const depth = dialog?.scrollTop;
    if (dialog) dialog.dataset.changed = "yes";
    main().replaceWith(document.adoptNode(fresh));
    document.title = page.title;
    document.body.dataset.stamp = page.body.dataset.stamp;
    document.getElementById("changed").hidden = true;
    if (reply.redirected) history.replaceState(history.state, "", withoutNote(reply.url));
    window.scrollTo(0, height);
    if (dialog) dialog.scrollTop = depth;
    const next = main().querySelector("[data-focus]") || (focus && document.getElementById(focus));
    const tiles = [...top().querySelectorAll("[data-tile]")];
    const near = next || focusable(tiles[Math.min(place, tiles.length - 1)]) || main();
    if (!elsewhere) {
      near.focus({ preventScroll: near === main() });
      next?.select?.();
    }
    count();
    comeBack(page);
  }

  let coming; // the next time
  /** A page that says how far something is comes again, as browsers do it with one that they load. */
  function comeBack(page) {
    const after = page.querySelector("meta[http-equiv=refresh]")?.content;
    clearTimeout(coming);
    if (after) coming = setTimeout(again, 1000 * after);
  }

  /** What of a tile the keyboard is on. */
  function focusable(tile) {
    return tile?.querySelector("label .pick") || tile?.querySelector("a");
  }

  /** Which field comes after the one of a form, so that a row of people is named without the mouse. */
  function after(form) {
    const field = form.querySelector("input[id]");
    const all = [...document.querySelectorAll("input[id^=name-]")];
    return (all[all.indexOf(field) + 1] || field)?.id;
  }

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (form.method !== "post" || form.enctype === "multipart/form-data") return;
    event.preventDefault();
    if (form.dataset.busy) return;
    form.dataset.busy = "yes";
    const focus = form.classList.contains("name-form") ? after(form) : document.activeElement?.id;
    const place = [...document.querySelectorAll("[data-tile]")].indexOf(document.activeElement?.closest("[data-tile]"));
    const action = event.submitter?.getAttribute("formaction") ?? form.getAttribute("action");
    try {
      const body = new URLSearchParams(new FormData(form, event.submitter));
      await show(await fetch(action, { method: "POST", body }), focus, place);
    } catch {
      say("The server does not answer: does `pixelbrain open` still run? Nothing is lost; start it again.");
    } finally {
      delete form.dataset.busy;
    }
  });

  /** How many are picked, for those who cannot see it. */
  function count() {
    const line = document.querySelector(".picked");
    if (!line) return;
    const n = document.querySelectorAll(".pick:checked").length;
    line.dataset.none ??= line.textContent;
    line.textContent = n ? `${n} picked` : line.dataset.none;
  }
  document.addEventListener("change", (event) => event.target.matches(".pick") && count());
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-unpick]")) return;
    for (const one of document.querySelectorAll(".pick:checked")) one.checked = false;
    count();
  });

  // --- the keyboard ---------------------------------------------------------------------------------------------

  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  /** The nearest tile of the next row above or below, which may be of another group; at the end, this one. */
  function beyond(tiles, here, down) {
    const at = here.getBoundingClientRect();
    const far = (one) => down * (down > 0 ? one.top - at.bottom : one.bottom - at.top);
    const there = tiles.map((one) => [one, one.getBoundingClientRect()]).filter(([, one]) => far(one) > -1);
    const row = Math.min(...there.map(([, one]) => far(one)));
    const near = there.filter(([, one]) => far(one) < row + 8);
    near.sort(([, a], [, b]) => Math.abs(a.left - at.left) - Math.abs(b.left - at.left));
    return near.length ? near[0][0] : here;
  }

  /** What a key stands for here: something of this tile, then of its group, then of the page, but of no other tile. */
  function meant(key, here) {
    const of = (scope) => [...scope.querySelectorAll(`[data-key="${CSS.escape(key)}"]`)].filter(seen);
    for (const name of ["[data-tile]", "[data-group]"]) {
      const scope = here.closest?.(name);
      const found = scope && of(scope).find((one) => name === "[data-tile]" || !one.closest("[data-tile]"));
      if (found) return found;
    }
    return of(top()).find((one) => !one.closest("[data-tile]") && !one.closest(".group"));
  }

  /** On to the first tile of the next group, or to the next page; true if there are groups. */
  function nextGroup(here) {
    const groups = [...document.querySelectorAll(".group[data-group]")];
    if (!groups.length) return false;
    const next = groups[groups.indexOf(here.closest?.(".group")) + 1];
    if (next) {
      focusable(next.querySelector("[data-tile]")).focus();
      next.scrollIntoView({ block: "nearest" });
    } else document.querySelector("a[rel=next]")?.click();
    return true;
  }

  /** Go from tile to tile, as the eye sees them; true if there are any. */
  function move(key) {
    const tiles = [...top().querySelectorAll("[data-tile]")];
    if (!tiles.length) return false;
    const here = document.activeElement?.closest("[data-tile]");
    const [across, down] = arrows[key];
    const at = here ? tiles.indexOf(here) + across : 0;
    const to = here && down ? beyond(tiles, here, down) : tiles[Math.min(Math.max(at, 0), tiles.length - 1)];
    focusable(to).focus();
    return true;
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const here = event.target;
    if (here.matches("input:not([type=checkbox]), select, textarea")) {
      const written = here.value !== here.defaultValue; // on a photo that is open: Esc forgets it, or closes the photo
      if (event.key === "Escape" && (here.matches("[id^=name-]") || (written && here.matches("[id^=who-]")))) {
        event.preventDefault();
        here.value = here.defaultValue;
        (here.closest("[data-tile]")?.querySelector("a") ?? main()).focus({ preventScroll: true });
      }
      return;
    }
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const tile = here.closest?.("[data-tile]");
    if (tile && key === "n" && tile.querySelector(".name-form input[id]")) {
      event.preventDefault();
      const field = tile.querySelector(".name-form input[id]");
      field.focus();
      field.select();
      return;
    }
    if (tile && key === "x" && tile.querySelector(".pick")) {
      tile.querySelector(".pick").click();
      return;
    }
    if (key === "Enter") {
      const free = here === document.body || here === main();
      if ((free || here.matches(".group [data-tile] a")) && nextGroup(here)) event.preventDefault();
      if (!free || event.defaultPrevented) return; // a link or a button does what it says
    }
    const button = meant(key, here);
    if (button) {
      event.preventDefault();
      if (tile && "picks" in button.dataset && !document.querySelector(".pick:checked")) {
        const pick = tile.querySelector(".pick");
        if (pick) pick.checked = true;
      }
      if (button.matches("input")) button.focus();
      else button.click();
    } else if (key in arrows && move(key)) {
      event.preventDefault();
    }
  });

  // --- two photos, pixel by pixel: one is moved with the other ---------------------------------------------------

  document.addEventListener(
    "scroll",
    (event) => {
      if (!event.target.matches?.("[data-pane]")) return;
      const { scrollLeft, scrollTop } = event.target;
      for (const one of document.querySelectorAll("[data-pane]")) {
        if (one !== event.target) one.scrollTo(scrollLeft, scrollTop);
      }
    },
    true,
  );

  // --- a search by a photo --------------------------------------------------------------------------------------

  /** Send it, say what is done meanwhile, and go to what was found. */
  async function search(body) {
    const model = document.body.dataset.models ? "" : " The model is loaded first, which takes some seconds.";
    say(`Looking at ${body.get("photo").name || "the photo"} …${model}`, true);
    try {
      const reply = await fetch("/photos/nearest", { method: "POST", body });
      if (reply.redirected) return location.assign(reply.url);
      const page = new DOMParser().parseFromString(await reply.text(), "text/html");
      say(page.querySelector("main .note, p")?.textContent ?? "That did not work.");
    } catch {
      say("The server does not answer, or the photo is too large. Nothing is lost.");
    }
  }
  document.addEventListener("submit", (event) => {
    if (event.target.enctype !== "multipart/form-data") return;
    event.preventDefault();
    search(new FormData(event.target, event.submitter));
  });

  /** The page's content, as it is now. */
  async function again() {
    try {
      await show(await fetch(location.href), null, -1);
    } catch {
      // it stays as it was
    }
  }
  window.pixelbrain = { again, say, search };

  // --- what others do -------------------------------------------------------------------------------------------

  async function look() {
    const since = document.body.dataset.stamp;
    if (document.hidden || !since) return;
    try {
      const found = await (await fetch(`/changes?since=${since}`)).json();
      if (!found.text || found.stamp === since || document.body.dataset.stamp !== since) return;
      const line = document.getElementById("changed");
      line.querySelector("p").textContent = found.text;
      line.hidden = false;
    } catch {
      // it is not there at the moment; whoever says something hears of it
    }
  }
  setInterval(look, 4000);
  document.addEventListener("visibilitychange", look);

  const here = document.querySelector(".bar [aria-current]");
  if (here) {
    const nav = here.parentElement; // which a phone has no room for
    nav.scrollLeft = here.offsetLeft - nav.offsetLeft + here.offsetWidth + 28 - nav.clientWidth;
  }
  if (new URL(location).searchParams.has("note")) history.replaceState(history.state, "", withoutNote(location.href));
  count();
}
