// What the pages can do without: dropping and pasting pictures, a proposed modality, the query picture kept in this
// tab (the service keeps none), and progress that moves by itself.
"use strict";

document.documentElement.classList.add("scripted");

const KEPT = "picture ";

function keep(search, pictures) {
  try {
    sessionStorage.setItem(KEPT + search, JSON.stringify(pictures));
  } catch {
    // the tab's memory is full: the picture has to be chosen again
  }
}

function kept(search) {
  return JSON.parse(sessionStorage.getItem(KEPT + search) || "[]");
}

// Grey pictures come from infrared cameras, mostly. It is proposed and never chosen: the person says what is true.
async function proposed(file) {
  const bitmap = await createImageBitmap(file);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [32, 64];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0, 32, 64);
  const { data } = context.getImageData(0, 0, 32, 64);
  let spread = 0;
  for (let place = 0; place < data.length; place += 4) {
    const pixel = data.subarray(place, place + 3);
    spread += Math.max(...pixel) - Math.min(...pixel);
  }
  return spread / (data.length / 4) < 6 ? "infrared" : "visible";
}

function propose(form, modality) {
  for (const radio of form.querySelectorAll("input[name=modality]")) {
    radio.parentElement.querySelector(".proposed").hidden = radio.value !== modality;
  }
  const told = form.querySelector("[data-proposal]");
  if (told) {
    const why = modality === "infrared" ? "it is grey" : "it has colours";
    told.textContent = modality ? `It looks ${modality}, since ${why}. Choose what is true.` : "";
  }
}

async function show(form, input) {
  const previews = form.querySelector("[data-previews]");
  previews.replaceChildren();
  propose(form, "");
  for (const [place, file] of [...input.files].entries()) {
    const image = document.createElement("img");
    image.alt = file.name;
    image.src = URL.createObjectURL(file);
    image.addEventListener("load", () => URL.revokeObjectURL(image.src));
    image.addEventListener("error", () => image.remove());
    previews.append(image);
    if (place === 0) {
      proposed(file).then((modality) => propose(form, modality), () => propose(form, ""));
    }
  }
}

function take(form, files) {
  const input = form.querySelector("input[type=file]");
  const pictures = [...files].filter((file) => file.type.startsWith("image/"));
  if (!pictures.length) return false;
  const chosen = new DataTransfer();
  for (const file of pictures) chosen.items.add(file);
  input.files = chosen.files;
  show(form, input);
  return true;
}

for (const form of document.querySelectorAll("form[data-drop]")) {
  const [input, area] = [form.querySelector("input[type=file]"), form.querySelector(".drop")];
  input.addEventListener("change", () => show(form, input));
  if (input.files.length) show(form, input);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    area.classList.add("over");
  });
  document.addEventListener("dragleave", () => area.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    area.classList.remove("over");
    take(form, event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => {
    if (take(form, event.clipboardData.files)) event.preventDefault();
  });
}

for (const place of document.querySelectorAll("[data-search]")) {
  const fresh = [...place.querySelectorAll("img[src^='data:']")];
  if (fresh.length) {
    const { search } = place.dataset;
    if (fresh.some((image) => image.dataset.whole) || !kept(search).length) {
      keep(search, fresh.map((image) => ({ url: image.src, whole: image.dataset.whole || "" })));
    }
  } else if (place.querySelector(".gone")) {
    const pictures = kept(place.dataset.search);
    if (!pictures.length) continue;
    place.replaceChildren(
      ...pictures.map(({ url }) => {
        const [frame, image] = [document.createElement("span"), document.createElement("img")];
        frame.className = "frame";
        image.src = url;
        image.alt = "picture that was searched with, kept in this tab";
        frame.append(image);
        return frame;
      }),
    );
  }
}

function file({ url, whole }) {
  const bytes = Uint8Array.from(atob(url.split(",")[1]), (letter) => letter.charCodeAt(0));
  return new File([bytes], whole, { type: url.slice(5, url.indexOf(";")) });
}

for (const form of document.querySelectorAll("form[data-again]")) {
  const input = form.querySelector("input[type=file]");
  const pictures = kept(form.dataset.again);
  if (!input || !pictures.length || !pictures.every(({ whole }) => whole)) continue;
  const chosen = new DataTransfer();
  for (const picture of pictures) chosen.items.add(file(picture));
  input.files = chosen.files;
}

if (document.querySelector("[data-forget]")) {
  for (const name of Object.keys(sessionStorage)) if (name.startsWith(KEPT)) sessionStorage.removeItem(name);
}

async function follow() {
  const live = document.querySelector("[data-live]");
  if (!live) return;
  await new Promise((done) => setTimeout(done, 1500));
  try {
    const answer = await fetch(location.href);
    if (!answer.ok) return location.reload();
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.querySelector("main").replaceChildren(...page.querySelector("main").childNodes);
    document.title = page.title;
  } catch {
    // the service is away for a moment
  }
  follow();
}
follow();
