"use strict";
// Reads what the page carries: letters in base64, compressed; see pack.py.

function bytesOf(letters) {
  const characters = atob(letters);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}

async function inflated(letters) {
  const stream = new Blob([bytesOf(letters)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

const ARRAYS = { Uint8Array, Uint16Array, Int32Array, Float32Array, Float64Array };

// The tree of a buffer: JSON, and arrays in the places that it names.
function treeOf(buffer) {
  const length = new Uint32Array(buffer, 0, 1)[0];
  const first = 8 + length;
  const words = new TextDecoder().decode(new Uint8Array(buffer, 8, length));
  return JSON.parse(words, (key, value) => {
    const kind = value && typeof value === "object" && ARRAYS[value.array];
    return kind ? new kind(buffer, first + value.start, value.length) : value;
  });
}

async function unpacked(letters) {
  return treeOf(await inflated(letters));
}
