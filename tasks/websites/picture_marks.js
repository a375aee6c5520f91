// Marks on two pictures of a page what the other does not have. Runs on an empty page; gets two PNGs, returns two WebPs.
// Rows of pixels are aligned first, so that one more line at the top does not mark everything below it.
async (first, second, most) => {
  const CELL = 16, NEAR = 8; // pixels: marks are cells of this width; gaps closer than this are one
  const drawn = async (data) => {
    const image = new Image();
    image.src = `data:image/png;base64,${data}`;
    await image.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    const pixels = new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer);
    return { canvas, context, pixels, width: image.width, height: image.height };
  };
  const hashes = ({ pixels, width, height }) => Array.from({ length: height }, (_, row) => {
    let one = 0x811c9dc5, two = 0x9747b28c; // two 32-bit hashes as one number of 53 bits
    for (let at = row * width; at < (row + 1) * width; at++) {
      one = Math.imul(one ^ pixels[at], 0x01000193);
      two = Math.imul(two ^ (pixels[at] >>> 3), 0x85ebca6b) + one;
    }
    return (one >>> 0) * 0x200000 + ((two >>> 0) & 0x1fffff);
  });
  const gaps = (a, b) => { // the longest common rows; what lies between them is [from, to) on both sides
    const wide = b.length + 1, longest = new Uint16Array((a.length + 1) * wide);
    for (let i = a.length - 1; i >= 0; i--) {
      for (let j = b.length - 1; j >= 0; j--) {
        longest[i * wide + j] = a[i] === b[j]
          ? longest[(i + 1) * wide + j + 1] + 1
          : Math.max(longest[(i + 1) * wide + j], longest[i * wide + j + 1]);
      }
    }
    const found = [];
    const add = (i, j, i2, j2) => {
      const last = found.at(-1);
      if (last && i - last[2] < NEAR && j - last[3] < NEAR) [last[2], last[3]] = [i2, j2];
      else found.push([i, j, i2, j2]);
    };
    let i = 0, j = 0;
    while (i < a.length || j < b.length) {
      if (i < a.length && j < b.length && a[i] === b[j]) { i++; j++; continue; }
      const down = i < a.length && (j >= b.length || longest[(i + 1) * wide + j] >= longest[i * wide + j + 1]);
      add(i, j, down ? i + 1 : i, down ? j : j + 1);
      if (down) i++; else j++;
    }
    return found;
  };
  const one = await drawn(first), two = await drawn(second);
  const found = gaps(hashes(one), hashes(two));
  const width = Math.min(one.width, two.width);
  const mark = ({ context }, x, y, across, down) => {
    context.fillStyle = "rgba(214, 0, 110, .22)";
    context.fillRect(x, y, across, Math.max(down, 3)); // what is missing here is a line
  };
  for (const [i, j, i2, j2] of found) {
    if (i2 - i !== j2 - j) {
      mark(one, 0, i, one.width, i2 - i);
      mark(two, 0, j, two.width, j2 - j);
      continue;
    }
    for (let x = 0; x < width; x += CELL) {
      const differs = () => {
        for (let row = 0; row < i2 - i; row++) {
          for (let at = x; at < Math.min(x + CELL, width); at++) {
            if (one.pixels[(i + row) * one.width + at] !== two.pixels[(j + row) * two.width + at]) return true;
          }
        }
        return false;
      };
      if (differs()) for (const [side, y] of [[one, i], [two, j]]) mark(side, x, y, CELL, i2 - i);
    }
  }
  const packed = ({ canvas }) => {
    for (const [scale, quality] of [[1, 0.6], [1, 0.3], [0.5, 0.4]]) {
      const small = Object.assign(document.createElement("canvas"), { width: canvas.width * scale, height: canvas.height * scale });
      small.getContext("2d").drawImage(canvas, 0, 0, small.width, small.height);
      const data = small.toDataURL("image/webp", quality).split(",")[1];
      if (data.length * 0.75 <= most) return data;
    }
    return "";
  };
  const changed = found.reduce((sum, [i, j, i2, j2]) => sum + Math.max(i2 - i, j2 - j), 0);
  return { first: packed(one), second: packed(two), share: changed / Math.max(one.height, two.height, 1) };
}
