"use strict";
// A photo over the list that it was found in, its full size, and a photo to search by that is dropped or pasted.
// Loaded before work.js, which puts what comes into the `main` on top: the one of the open dialog, if there is one.
{
  const pane = () => document.querySelector("dialog.lightbox");
  const under = () => document.querySelector("main.under");
  let opener = null; // whose link had the cursor
  let listed = ""; // the address of the list
  let turn = 0; // of what was asked for last: what comes later is not wanted any more
  const path = (url) => url.pathname + url.search;
  const alone = history.state?.over && path(location); // the page itself is a photo: it was loaded anew, or come back to
  const isPhoto = (link) => link.origin === location.origin && /^\/photos\/[0-9a-f]{16}$/.test(link.pathname);

  /** The content of a page, by its address. */
  async function fetched(address) {
    const reply = await fetch(address);
    const page = new DOMParser().parseFromString(await reply.text(), "text/html");
    const main = page.getElementById("main");
    return main?.querySelector("[data-photo]") && { main: document.adoptNode(main), title: page.title };
  }

  /** The pictures of the neighbours, so that they are there when they are wanted. */
  async function ahead() {
    for (const link of pane()?.querySelectorAll("a[rel]") ?? []) {
      const found = await fetched(link.href).catch(() => null); // it is asked for again when it is wanted
      const picture = found?.main.querySelector(".large img");
      if (picture) new Image().src = picture.src;
    }
  }

  function place(main) {
    main.tabIndex = -1;
    const old = pane().querySelector("main");
    if (old) old.replaceWith(main);
    else pane().append(main);
    main.focus({ preventScroll: true });
    pane().scrollTop = 0;
    setTimeout(ahead, 150);
  }

  /** Show a photo over the list; `how`: whether Back leads to where this came from ("push"), or the place is kept. */
  async function open(address, how) {
    const mine = ++turn;
    let found;
    try {
      found = await fetched(address);
    } catch {
      window.pixelbrain.say("The server does not answer: does `pixelbrain open` still run? Start it again.");
      return;
    }
    if (mine !== turn) return;
    if (!found) return location.assign(address); // it went, which its page says
    if (!pane()) {
      listed = location.href;
      const dialog = document.createElement("dialog");
      dialog.className = "lightbox";
      dialog.setAttribute("aria-label", "A photo");
      dialog.addEventListener("cancel", (event) => {
        event.preventDefault();
        history.back();
      });
      const main = document.getElementById("main");
      main.removeAttribute("id");
      main.classList.add("under");
      document.body.append(dialog);
      document.body.classList.add("looking");
      dialog.showModal();
    }
    if (how === "push") history.pushState({ over: listed }, "", address);
    else if (how === "replace") history.replaceState({ over: listed }, "", address);
    document.title = found.title;
    place(found.main);
  }

  /** Back to the list, as it was, the cursor on the photo that was seen last. */
  async function close() {
    turn++;
    const seen = pane().querySelector("[data-photo]")?.dataset.photo;
    const changed = pane().dataset.changed;
    pane().remove();
    document.body.classList.remove("looking");
    under().id = "main";
    under().classList.remove("under");
    document.title = document.title.replace(/^.* · /, `${document.querySelector("main h1")?.textContent ?? ""} · `);
    if (changed) await window.pixelbrain?.again();
    const main = document.getElementById("main");
    const of = [...main.querySelectorAll("a"), opener].filter((one) => main.contains(one) && isPhoto(one));
    const shown = of.filter((one) => one.pathname.endsWith(`/${seen}`));
    const to = shown.includes(opener) ? opener : shown[0] ?? of.find((one) => one === opener);
    to?.focus({ preventScroll: true });
    to?.scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    if (link.matches("[data-zoom]")) {
      event.preventDefault();
      zoom();
    } else if (pane()?.contains(link)) {
      if (link.rel === "prev" || link.rel === "next") {
        event.preventDefault();
        open(link.href, "replace");
      } else if (link.dataset.key === "Escape") {
        event.preventDefault();
        if (path(link) === path(location)) window.pixelbrain.again(); // a question that is not answered
        else history.back();
      } else if (link.getAttribute("href").startsWith("#")) {
        event.preventDefault();
        aim(link.getAttribute("href"));
      }
    } else if (link.closest("main") && isPhoto(link) && !link.rel) {
      event.preventDefault();
      opener = link;
      open(link.href, "push");
    }
  });

  /** To the face that was clicked, and into the field for its name. */
  function aim(hash) {
    const face = pane().querySelector(hash);
    face?.scrollIntoView({ block: "nearest" });
    const field = face?.querySelector("input[id]");
    field?.focus({ preventScroll: true });
    field?.select(); // what is written takes the place of the name that was there
  }

  window.addEventListener("popstate", (event) => {
    if (alone && path(location) !== alone) location.reload(); // there is no list below
    else if (alone) return;
    else if (event.state?.over) open(location.href, "stay");
    else if (pane()) close();
  });

  // --- full size ------------------------------------------------------------------------------------------------

  /** Each pixel of the file, under the finger or in the middle; and back. */
  function zoom(x = 0.5, y = 0.5) {
    const stage = document.querySelector("#main .stage");
    const large = stage?.querySelector(".large");
    const picture = large?.querySelector("img");
    if (!picture) return;
    const near = stage.classList.toggle("near");
    const button = document.querySelector("#main [data-zoom]");
    button.firstChild.textContent = near ? "Whole photo " : "Full size ";
    picture.style.width = near && picture.width > 1 ? `${picture.getAttribute("width")}px` : "";
    if (!near) return;
    picture.src = button.href;
    stage.scrollLeft = x * large.offsetWidth - stage.clientWidth / 2;
    stage.scrollTop = y * large.offsetHeight - stage.clientHeight / 2;
  }

  let held = null; // where a drag began
  document.addEventListener("pointerdown", (event) => {
    const stage = event.target.closest?.("#main .stage");
    if (!stage || event.button || event.target.closest("a")) return;
    const picture = stage.querySelector("img").getBoundingClientRect();
    held = { stage, x: event.clientX, y: event.clientY, left: stage.scrollLeft, top: stage.scrollTop, moved: 0, picture };
    if (event.pointerType === "mouse") event.preventDefault(); // else the picture itself is dragged
  });
  document.addEventListener("pointermove", (event) => {
    if (!held || event.pointerType !== "mouse") return;
    const [dx, dy] = [event.clientX - held.x, event.clientY - held.y];
    held.moved = Math.max(held.moved, Math.hypot(dx, dy));
    if (!held.stage.classList.contains("near")) return;
    held.stage.scrollLeft = held.left - dx;
    held.stage.scrollTop = held.top - dy;
  });
  document.addEventListener("pointerup", (event) => {
    if (held && event.pointerType === "mouse" && held.moved < 5) {
      const { picture } = held;
      zoom((held.x - picture.left) / picture.width, (held.y - picture.top) / picture.height);
    }
    held = null;
  });

  // --- fingers --------------------------------------------------------------------------------------------------

  let touch = null;
  document.addEventListener("touchstart", (event) => {
    const alone = event.touches.length === 1 && event.target.closest?.("#main .stage:not(.near)");
    touch = alone && (window.visualViewport?.scale ?? 1) < 1.05 ? event.touches[0] : null;
  }, { passive: true });
  document.addEventListener("touchend", (event) => {
    if (!touch) return;
    const [dx, dy] = [event.changedTouches[0].clientX - touch.clientX, event.changedTouches[0].clientY - touch.clientY];
    touch = null;
    if (Math.abs(dx) < 50 || Math.abs(dx) < 2 * Math.abs(dy)) return;
    document.querySelector(`#main a[rel=${dx < 0 ? "next" : "prev"}]`)?.click();
  }, { passive: true });

  // --- a photo to search by, dropped or pasted ------------------------------------------------------------------

  /** Ask what of it is wanted, and search. */
  function ask(file) {
    const dialog = document.createElement("dialog");
    dialog.className = "by-photo";
    dialog.setAttribute("aria-labelledby", "by-photo");
    const form = document.createElement("form");
    form.method = "dialog";
    const title = document.createElement("h2");
    title.id = "by-photo";
    title.append("Search by ", Object.assign(document.createElement("bdi"), { textContent: file.name || "this photo" }));
    const row = document.createElement("p");
    row.className = "row";
    for (const [value, text] of [["faces", "Its faces"], ["images", "Look-alikes"], ["", "Neither"]]) {
      row.append(Object.assign(document.createElement("button"), { value, textContent: text }), " ");
    }
    form.append(title, row);
    dialog.append(form);
    document.body.append(dialog);
    dialog.addEventListener("close", () => {
      const by = dialog.returnValue;
      dialog.remove();
      if (by) send(file, by);
    });
    dialog.showModal();
  }

  async function send(file, by) {
    const body = new FormData();
    body.append("by", by);
    body.append("photo", file, file.name || "pasted");
    await window.pixelbrain.search(body);
  }

  const photo = (files) => [...(files ?? [])].find((one) => one.type.startsWith("image/") || /\.(jpe?g|png|webp|heic|tiff?|bmp|gif)$/i.test(one.name));
  document.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget || document.body.classList.remove("dropping"));
  document.addEventListener("drop", (event) => {
    document.body.classList.remove("dropping");
    if (!event.dataTransfer.types.includes("Files") || event.target.matches?.("input[type=file]")) return;
    event.preventDefault();
    const file = photo(event.dataTransfer.files);
    if (file) ask(file);
    else window.pixelbrain.say("This is no photo.");
  });
  document.addEventListener("paste", (event) => {
    const file = photo(event.clipboardData?.files);
    if (file) {
      event.preventDefault();
      ask(file);
    }
  });
}
