"use strict";

const $ = (id) => document.getElementById(id);
const canvas = $("canvas");
const FRAMES_A_SECOND = 5;
const FRAME_WIDTH = 640;
const SMALL_PX = 32;
const SAY_EVERY_MS = 3000;

let facts = { max_bytes: 20 * 2 ** 20 };
let shown = null; // { source, width, height, faces, mirrored }: what the canvas shows
let lit = -1; // the face that is pointed at
let turn = 0; // grows with each picture, so that a late answer to an earlier one is dropped
let stream = null;
let said = { words: "", at: 0 };

const percent = (p) => `${(100 * p).toFixed(p < 0.0995 || p > 0.9905 ? 1 : 0)} %`;
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

// ---- the server

async function ask(picture) {
  const kind = picture.type.startsWith("image/") ? picture.type : "image/unknown";
  let response;
  try {
    response = await fetch("api/predict", { method: "POST", body: picture, headers: { "Content-Type": kind } });
  } catch {
    throw { error: "The server does not answer", hint: "Is fer serve still running?" };
  }
  const found = await response.json();
  if (!response.ok) throw { ...found, status: response.status };
  return found;
}

async function introduce() {
  const found = await (await fetch("api/model")).json();
  facts = found;
  $("most").textContent = `${Math.round(facts.max_bytes / 2 ** 20)} MiB`;
  $("version").textContent = facts.version;
  $("model").textContent = facts.name;
  $("learnt").append(`. ${[...facts.learnt_from, facts.accuracy].join(" ")}`);
}

// ---- what is shown

function complain({ error, hint }) {
  const alert = $("alert");
  const bold = document.createElement("b");
  const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.?!]$/.test(text) ? "" : ".");
  bold.textContent = sentence(error);
  alert.replaceChildren(bold, hint ? sentence(hint) : "");
  alert.hidden = false;
}

function show(source, width, height, faces, mirrored = false) {
  shown = { source, width, height, faces, mirrored };
  $("invite").hidden = true;
  $("view").hidden = false;
  $("unseen").hidden = Boolean(source);
  draw();
}

function hide() {
  shown = null;
  $("invite").hidden = false;
  $("view").hidden = true;
}

const labelled = (face) =>
  face.label === null ? "too small" : `${face.label}${face.status === "uncertain" ? "?" : ""} ${percent(most(face))}`;
const most = (face) => Math.max(...Object.values(face.probabilities));

function left(face) {
  return shown.mirrored ? shown.width - face.x - face.w : face.x;
}

function draw() {
  const { source, width, height, faces, mirrored } = shown;
  const scale = Math.min(1, 1600 / Math.max(width, height)) * (Math.max(width, height) < 800 ? 2 : 1);
  const [w, h] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  canvas.style.setProperty("--wished", `${Math.max(width, Math.min(800, 2 * width))}px`);
  canvas.style.setProperty("--aspect", width / height);
  const pen = canvas.getContext("2d");
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.clearRect(0, 0, w, h);
  if (source) {
    if (mirrored) pen.setTransform(-1, 0, 0, 1, w, 0);
    pen.drawImage(source, 0, 0, w, h);
    pen.setTransform(1, 0, 0, 1, 0, 0);
  }
  const css = canvas.clientWidth ? w / canvas.clientWidth : 1; // canvas pixels in one of the page
  const last = faces.map((_, place) => place).sort((a, b) => (a === lit) - (b === lit));
  for (const place of last) drawFace(pen, faces[place], place, scale, css);
}

function drawFace(pen, face, place, scale, css) {
  const style = getComputedStyle(document.documentElement);
  const [x, y, w, h] = [left(face), face.y, face.w, face.h].map((one) => one * scale);
  const answered = face.label !== null;
  pen.globalAlpha = lit < 0 || lit === place ? 1 : 0.45;
  pen.setLineDash(face.status === "ok" ? [] : [8 * css, 5 * css]);
  pen.lineJoin = "round";
  for (const [colour, thick] of [["rgb(0 0 0 / 45%)", 5], [answered ? "#6cc0f0" : "#e8eaed", 2.5]]) {
    pen.strokeStyle = colour;
    pen.lineWidth = thick * css;
    pen.beginPath();
    pen.roundRect(x, y, w, h, 6 * css);
    pen.stroke();
  }
  pen.setLineDash([]);
  pen.font = `600 ${14 * css}px ${style.fontFamily}`;
  const full = `${place + 1}  ${labelled(face)}`;
  const words = pen.measureText(full).width < Math.max(2.2 * w, 90 * css) || lit === place ? full : `${place + 1}`;
  const wide = pen.measureText(words).width + 14 * css;
  const tall = 24 * css;
  const tx = Math.min(Math.max(0, x - 1.25 * css), Math.max(0, pen.canvas.width - wide));
  const ty = y - tall - 4 * css >= 0 ? y - tall - 4 * css : Math.min(y + h + 4 * css, pen.canvas.height - tall);
  pen.fillStyle = answered ? "#6cc0f0" : "#e8eaed";
  pen.beginPath();
  pen.roundRect(tx, ty, wide, tall, 6 * css);
  pen.fill();
  pen.fillStyle = "#0d1b26";
  pen.textBaseline = "middle";
  pen.fillText(words, tx + 7 * css, ty + tall / 2 + css);
  pen.globalAlpha = 1;
}

function list(faces) {
  const cards = $("faces");
  while (cards.children.length > faces.length) cards.lastElementChild.remove();
  while (cards.children.length < faces.length) cards.append(newCard(cards.children.length));
  faces.forEach((face, place) => fillCard(cards.children[place], face, place));
}

function newCard(place) {
  const card = $("card").content.cloneNode(true).firstElementChild;
  for (const name of ["pointerenter", "focus"]) card.addEventListener(name, () => light(place));
  for (const name of ["pointerleave", "blur"]) card.addEventListener(name, () => light(-1));
  return card;
}

function noteOf(face) {
  if (face.label === null) return `${Math.round(face.size_px)} pixels high: too small to tell an expression.`;
  if (face.status === "uncertain") return "Uncertain: no expression stands out.";
  if (face.size_px < SMALL_PX) return `Only ${Math.round(face.size_px)} pixels high: less reliable.`;
  return "";
}

function fillCard(card, face, place) {
  const find = (name) => card.querySelector(name);
  find(".number").textContent = place + 1;
  find(".label").textContent = face.label === null ? "No answer" : face.label;
  const sure = face.label === null ? "" : `${percent(most(face))} · `;
  find(".about").textContent = `${sure}${Math.round(face.w)} × ${Math.round(face.h)} px`;
  find(".note").textContent = noteOf(face);
  find(".note").hidden = !noteOf(face);
  crop(find(".crop"), face);
  const bars = find(".bars");
  const rows = Object.entries(face.probabilities ?? {});
  if (bars.children.length !== 2 * rows.length) bars.replaceChildren(...rows.flatMap(() => newBar()));
  rows.forEach(([name, p], at) => {
    const [term, value] = [bars.children[2 * at], bars.children[2 * at + 1]];
    term.textContent = name;
    term.className = value.className = name === face.label ? "most" : "";
    value.querySelector(".fill").style.transform = `scaleX(${p})`;
    value.querySelector(".percent").textContent = percent(p);
  });
}

function newBar() {
  const term = document.createElement("dt");
  const value = document.createElement("dd");
  const track = document.createElement("span");
  const fill = document.createElement("span");
  const number = document.createElement("span");
  [track.className, fill.className, number.className] = ["track", "fill", "percent"];
  track.append(fill);
  value.append(track, number);
  return [term, value];
}

function crop(small, face) {
  const pen = small.getContext("2d");
  pen.clearRect(0, 0, small.width, small.height);
  if (!shown.source) return;
  const side = Math.max(face.w, face.h) * 1.15;
  const natural = (shown.source.width || shown.source.videoWidth) / shown.width;
  const x = left(face) + face.w / 2 - side / 2;
  const from = (shown.mirrored ? shown.width - x - side : x) * natural;
  const y = (face.y + face.h / 2 - side / 2) * natural;
  pen.setTransform(shown.mirrored ? -1 : 1, 0, 0, 1, shown.mirrored ? small.width : 0, 0);
  pen.drawImage(shown.source, from, y, side * natural, side * natural, 0, 0, small.width, small.height);
  pen.setTransform(1, 0, 0, 1, 0, 0);
}

function light(place) {
  lit = place;
  [...$("faces").children].forEach((card, at) => card.classList.toggle("lit", at === place));
  if (shown) draw();
}

const count = (n) => (n === 0 ? "No face found" : n === 1 ? "One face" : `${n} faces`);

function report(found, { live = false } = {}) {
  const { faces, width, height, ms } = found;
  const total = Math.round(ms.decode + ms.detect + ms.predict);
  $("summary").textContent = live
    ? `${count(faces.length)} · live · ${total} ms a frame`
    : `${count(faces.length)} · ${width} × ${height} px · ${total} ms`;
  const each = faces.map((face, at) => `face ${at + 1}: ${labelled(face).replace("?", ", uncertain,")}`);
  const words = [count(faces.length), ...each].join("; ");
  canvas.setAttribute("aria-label", `${live ? "Camera" : "Picture"}. ${words}.`);
  say(words, live ? faces.map((face) => face.label).join() + faces.length : words + turn);
}

// A screen reader hears an answer once, and of a camera only changes, a few seconds apart.
function say(words, key) {
  if (key === said.key || (stream && Date.now() - said.at < SAY_EVERY_MS)) return;
  said = { key, at: Date.now() };
  $("heard").textContent = `${words}.`;
}

const fromLeft = (faces) => [...faces].sort((a, b) => a.x + a.w / 2 - b.x - b.w / 2);

// ---- a picture

async function take(file) {
  stopCamera();
  const mine = ++turn;
  $("alert").hidden = true;
  lit = -1;
  if (file.size > facts.max_bytes) {
    complain({ error: `The file is larger than ${Math.round(facts.max_bytes / 2 ** 20)} MiB`, hint: "Choose a smaller picture" });
    return;
  }
  const source = await createImageBitmap(file).catch(() => null);
  if (mine !== turn) return;
  if (source) show(source, source.width, source.height, []);
  else hide();
  list([]);
  $("summary").textContent = "Looking…";
  try {
    const found = await ask(file);
    if (mine !== turn) return;
    found.faces = fromLeft(found.faces);
    show(source, found.width, found.height, found.faces);
    list(found.faces);
    report(found);
  } catch (error) {
    if (mine !== turn) return;
    $("summary").textContent = "No answer.";
    complain(error);
  }
}

// ---- the camera

const video = document.createElement("video");
video.muted = true;
video.playsInline = true;

async function startCamera() {
  $("alert").hidden = true;
  const devices = navigator.mediaDevices;
  if (!devices) {
    complain({ error: "The browser gives the camera only to this computer’s own pages and over HTTPS", hint: "Open the page as http://localhost, or choose a picture" });
    return;
  }
  const mine = ++turn;
  let opened;
  try {
    opened = await devices.getUserMedia({ video: { facingMode: "user", width: { ideal: 1280 } } });
  } catch (error) {
    const none = error.name === "NotFoundError";
    complain({ error: none ? "There is no camera" : "The camera may not be used", hint: none ? "Choose a picture" : "Allow it in the browser, or choose a picture" });
    return;
  }
  if (mine !== turn) {
    opened.getTracks().forEach((track) => track.stop());
    return;
  }
  stream = opened;
  stream.getVideoTracks()[0].addEventListener("ended", stopCamera);
  video.srcObject = stream;
  await video.play();
  cameraButton(true);
  const mirrored = stream.getVideoTracks()[0].getSettings().facingMode !== "environment";
  show(video, video.videoWidth, video.videoHeight, [], mirrored);
  list([]);
  requestAnimationFrame(redraw);
  askForFrames(mine);
}

function stopCamera() {
  if (!stream) return;
  turn++;
  stream.getTracks().forEach((track) => track.stop());
  stream = null;
  const still = document.createElement("canvas"); // the last frame stays
  [still.width, still.height] = [video.videoWidth, video.videoHeight];
  still.getContext("2d").drawImage(video, 0, 0);
  video.srcObject = null;
  if (shown?.source === video) shown.source = still;
  cameraButton(false);
}

function cameraButton(on) {
  $("camera").setAttribute("aria-pressed", on);
  $("camera").textContent = on ? "Stop the camera" : "Use the camera";
}

function redraw() {
  if (!stream) return;
  if (!document.hidden) draw();
  requestAnimationFrame(redraw);
}

async function askForFrames(mine) {
  const frame = document.createElement("canvas");
  while (mine === turn) {
    const begun = performance.now();
    if (!document.hidden) await askForFrame(frame, mine);
    await wait(Math.max(0, 1000 / FRAMES_A_SECOND - (performance.now() - begun)));
  }
}

async function askForFrame(frame, mine) {
  const scale = Math.min(1, FRAME_WIDTH / video.videoWidth);
  [frame.width, frame.height] = [video.videoWidth * scale, video.videoHeight * scale].map(Math.round);
  frame.getContext("2d").drawImage(video, 0, 0, frame.width, frame.height);
  const picture = await new Promise((done) => frame.toBlob(done, "image/jpeg", 0.9));
  try {
    const found = await ask(picture);
    if (mine !== turn) return;
    $("alert").hidden = true;
    found.faces = fromLeft(found.faces);
    if (shown.mirrored) found.faces.reverse();
    show(video, found.width, found.height, found.faces, shown.mirrored);
    list(found.faces);
    report(found, { live: true });
  } catch (error) {
    if (mine !== turn) return;
    if (error.status !== 503) complain(error);
    await wait(1000);
  }
}

// ---- what starts it

const firstPicture = (files) => [...(files ?? [])].find((file) => file.type.startsWith("image/")) ?? files?.[0];

$("choose").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => {
  const file = firstPicture($("file").files);
  $("file").value = ""; // the same file may be chosen again
  if (file) take(file);
});
$("camera").addEventListener("click", () => (stream ? stopCamera() : startCamera()));
document.addEventListener("paste", (event) => {
  const file = firstPicture(event.clipboardData.files);
  if (file) take(file);
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  const file = firstPicture(event.dataTransfer.files);
  if (file) take(file);
  else complain({ error: "What was dropped is no file", hint: "Save the picture first, and drop the file" });
});
canvas.addEventListener("pointermove", (event) => {
  if (!shown) return;
  const box = canvas.getBoundingClientRect();
  const x = ((event.clientX - box.left) / box.width) * shown.width;
  const y = ((event.clientY - box.top) / box.height) * shown.height;
  const at = shown.faces.findIndex((face) => x >= left(face) && x <= left(face) + face.w && y >= face.y && y <= face.y + face.h);
  if (at !== lit) light(at);
});
canvas.addEventListener("pointerleave", () => light(-1));
addEventListener("resize", () => shown && draw());
addEventListener("pagehide", stopCamera);

const own = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
$("where").textContent = own ? "Pictures stay on this computer" : `Pictures go to ${location.hostname} only`;
$("curl").textContent = $("curl").textContent.replace("http://127.0.0.1:8000", location.origin);
introduce().catch(() => complain({ error: "The server does not answer", hint: "Is fer serve still running?" }));
