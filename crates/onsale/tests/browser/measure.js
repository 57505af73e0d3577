// Runs in the page that holds every document in frames of some widths, looks at
// each as a reader would, and leaves what it finds in #findings as JSON.
"use strict";

const LEAST_TEXT_CONTRAST = 4.5; // WCAG 2, 1.4.3
const LEAST_SHAPE_CONTRAST = 3; // WCAG 2, 1.4.11
// In OKLab, where about 0.02 can just be told apart when side by side.
const LEAST_DIFFERENCE = 0.07;
const LEAST_TEXT_PIXELS = 9;
// Boxes of text are larger than its letters.
const SLACK = 1.5;

const colourOf = (css) => {
  const parts = /^rgba?\(([\d.]+), ([\d.]+), ([\d.]+)(?:, ([\d.]+))?\)$/.exec(css);
  if (!parts) throw new Error(`not a colour that this can read: ${css}`);
  const [red, green, blue, alpha] = parts.slice(1).map((part) => (part === undefined ? 1 : Number(part)));
  return { red, green, blue, alpha };
};
const over = (upper, lower) => {
  const mixed = (name) => upper[name] * upper.alpha + lower[name] * (1 - upper.alpha);
  return { red: mixed("red"), green: mixed("green"), blue: mixed("blue"), alpha: 1 };
};
const linear = (colour) =>
  [colour.red, colour.green, colour.blue].map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
const luminance = (colour) => {
  const [red, green, blue] = linear(colour);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const contrast = (one, other) => {
  const [dark, bright] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (bright + 0.05) / (dark + 0.05);
};
const oklab = (colour) => {
  const [red, green, blue] = linear(colour);
  const l = Math.cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue);
  const m = Math.cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue);
  const s = Math.cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
};
const difference = (one, other) => {
  const [a, b] = [oklab(one), oklab(other)];
  return Math.hypot(...a.map((value, place) => value - b[place]));
};

/** Looks at one document; `problems` are sentences. */
function look(frame) {
  const view = frame.contentWindow;
  const page = frame.contentDocument;
  const root = page.documentElement;
  const problems = new Set();
  const counts = { texts: 0, keys: 0, curves: 0, plots: 0, tables: 0 };
  const style = (element) => view.getComputedStyle(element);
  const all = (selector, within = page) => [...within.querySelectorAll(selector)];
  const isShown = (element) => element.getClientRects().length > 0;
  const quoted = (text) => `"${text.trim().replace(/\s+/g, " ").slice(0, 40)}"`;

  // Folded parts are looked at, too.
  for (const details of all("details")) details.open = true;

  const canvas = () => {
    const paper = page.querySelector(".paper");
    if (paper) return colourOf(style(paper).fill);
    return view.matchMedia("(prefers-color-scheme: dark)").matches
      ? { red: 18, green: 18, blue: 18, alpha: 1 }
      : { red: 255, green: 255, blue: 255, alpha: 1 };
  };
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      const layer = colourOf(style(at).backgroundColor);
      layers.push(layer);
      if (layer.alpha === 1) break;
    }
    return layers.reverse().reduce((lower, upper) => over(upper, lower), canvas());
  };
  const seen = (element, property, background) => {
    const colour = colourOf(style(element)[property]);
    return over({ ...colour, alpha: colour.alpha * Number(style(element).opacity) }, background);
  };

  // What is cut off by a scrolling box is not in the way of anything.
  const clipped = (rect, element) => {
    let { left, right, top, bottom } = rect;
    for (let at = element; at && at !== page.body; at = at.parentElement) {
      if (style(at).overflowX === "visible" || at.localName === "svg") continue;
      const box = at.getBoundingClientRect();
      [left, right] = [Math.max(left, box.left), Math.min(right, box.right)];
      [top, bottom] = [Math.max(top, box.top), Math.min(bottom, box.bottom)];
    }
    return { left, right, top, bottom };
  };
  const isEmpty = (rect) => rect.right - rect.left < 0.5 || rect.bottom - rect.top < 0.5;
  const meet = (a, b) =>
    Math.min(a.right, b.right) - Math.max(a.left, b.left) > SLACK &&
    Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > SLACK;
  const findOverlaps = (boxes) => {
    const sorted = [...boxes].sort((a, b) => a.rect.top - b.rect.top);
    sorted.forEach((one, place) => {
      for (let next = place + 1; next < sorted.length && sorted[next].rect.top < one.rect.bottom; next += 1) {
        const other = sorted[next];
        if (one.of !== other.of && meet(one.rect, other.rect)) problems.add(`${one.name} overlaps ${other.name}`);
      }
    });
  };

  // Text: contrast, size, within the screen, over nothing else.
  const boxes = [];
  const walker = page.createTreeWalker(page.body, view.NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || element.closest("style, script, title") || !isShown(element)) continue;
    const plot = element.closest("svg");
    const background = behind(element);
    const colour = seen(element, plot ? "fill" : "color", background);
    const ratio = contrast(colour, background);
    const what = `${plot ? "text of a plot" : element.localName} ${quoted(node.data)}`;
    if (ratio < LEAST_TEXT_CONTRAST) problems.add(`${what} has a contrast of ${ratio.toFixed(2)}`);
    const scale = plot ? plot.getBoundingClientRect().width / plot.viewBox.baseVal.width : 1;
    const pixels = parseFloat(style(element).fontSize) * scale;
    if (pixels < LEAST_TEXT_PIXELS) problems.add(`${what} is ${pixels.toFixed(1)} pixels high`);
    const range = page.createRange();
    range.selectNodeContents(node);
    // A range within a plot knows nothing of anchors on some lines; its element does.
    const rects = plot ? [element.getBoundingClientRect()] : [...range.getClientRects()];
    for (const whole of rects) {
      const rect = clipped(whole, element);
      if (isEmpty(rect)) continue;
      counts.texts += 1;
      boxes.push({ rect, of: node, name: what });
      if (rect.left < -SLACK || rect.right > root.clientWidth + SLACK) {
        problems.add(`${what} is over the edge of the screen`);
      }
      const room = plot?.getBoundingClientRect();
      if (room && (rect.left < room.left - 1 || rect.right > room.right + 1 || rect.bottom > room.bottom + 1)) {
        problems.add(`${what} is cut off by its plot`);
      }
    }
  }
  const bars = all("rect.bar").filter(isShown);
  const swatches = all(".key i").filter(isShown);
  for (const shape of [...bars, ...swatches]) {
    boxes.push({ rect: clipped(shape.getBoundingClientRect(), shape), of: shape, name: `a ${shape.localName} of ${quoted(shape.parentElement.textContent)}` });
  }
  findOverlaps(boxes);

  // Blocks: each below the one before, none wider than the screen.
  const blocks = (parent) => [...parent.children].filter(isShown);
  const box = (element) => ({ rect: element.getBoundingClientRect(), of: element, name: `${element.localName} ${quoted(element.textContent)}` });
  const families = [page.body, ...all("figure"), ...all(".cards"), ...all(".legend"), ...all("details")];
  for (const family of families) findOverlaps(blocks(family).map(box));
  if (root.scrollWidth > root.clientWidth) {
    problems.add(`scrolls sideways: ${root.scrollWidth} pixels on a screen of ${root.clientWidth}`);
  }
  for (const part of all("body *").filter((part) => isShown(part) && !part.closest("svg *, table *"))) {
    const rect = clipped(part.getBoundingClientRect(), part.parentElement);
    if (rect.right > root.clientWidth + 1 || rect.left < -1) {
      problems.add(`${part.localName} ${quoted(part.textContent)} is over the edge of the screen`);
    }
  }
  for (const table of all("table")) {
    counts.tables += 1;
    const room = table.parentElement;
    // There is room for all of them on a desk.
    if (root.clientWidth > 1000 && room.scrollWidth > room.clientWidth) {
      problems.add(`the table of ${quoted(table.textContent)} is wider than its page`);
    }
  }

  // Plots: one of each, and keys that are the colour of what they are the key of.
  for (const figure of all("figure")) {
    const title = quoted(figure.querySelector("figcaption").textContent);
    const plots = all("svg", figure).filter(isShown);
    if (plots.length !== 1) {
      problems.add(`${title} is shown ${plots.length} times`);
      continue;
    }
    counts.plots += 1;
    const background = behind(figure);
    const curves = all(".line, .area", plots[0]).map((curve) => ({
      colour: seen(curve, curve.matches(".area") ? "fill" : "stroke", background),
      isThere: curve.getBoundingClientRect().width > 1,
      isDashed: style(curve).strokeDasharray !== "none",
    }));
    counts.curves += curves.length;
    const keys = all(".key", figure).map((key) => {
      const swatch = key.querySelector("i");
      const rect = swatch.getBoundingClientRect();
      if (rect.width < 8 || rect.height < 8) problems.add(`the key ${quoted(key.textContent)} of ${title} has no swatch`);
      return {
        label: quoted(key.textContent),
        colour: seen(swatch, "backgroundColor", background),
        isDashed: style(swatch).clipPath !== "none",
      };
    });
    counts.keys += keys.length;
    if (keys.length !== curves.length) problems.add(`${title} has ${keys.length} keys and ${curves.length} curves`);
    keys.forEach((key, place) => {
      const curve = curves[place];
      if (curve && (difference(key.colour, curve.colour) > 0.01 || key.isDashed !== curve.isDashed)) {
        problems.add(`the key ${key.label} of ${title} looks unlike its curve`);
      }
      if (curve && !curve.isThere) problems.add(`the curve of ${key.label} of ${title} is not to be seen`);
      const ratio = contrast(key.colour, background);
      if (ratio < LEAST_SHAPE_CONTRAST) {
        problems.add(`the key ${key.label} of ${title} has a contrast of ${ratio.toFixed(2)}`);
      }
      for (const other of keys.slice(0, place)) {
        if (other.isDashed === key.isDashed && difference(key.colour, other.colour) < LEAST_DIFFERENCE) {
          problems.add(`the keys ${other.label} and ${key.label} of ${title} look alike`);
        }
      }
    });
  }

  // A class makes a difference to what has it, or to what is within.
  const classes = {};
  const looks = (element) =>
    [element, ...[...element.querySelectorAll("*")].slice(0, 4)].map((part) => {
      const computed = style(part);
      return [...computed].map((name) => computed.getPropertyValue(name)).join(";");
    }).join("|");
  for (const name of new Set(all("[class]").flatMap((element) => [...element.classList]))) {
    classes[name] = all(`.${name}`).slice(0, 3).some((element) => {
      const before = looks(element);
      const value = element.getAttribute("class");
      element.classList.remove(name);
      const after = looks(element);
      element.setAttribute("class", value);
      return before !== after;
    });
  }

  return {
    document: frame.dataset.document,
    width: view.innerWidth,
    isDark: view.matchMedia("(prefers-color-scheme: dark)").matches,
    font: style(page.body).fontFamily,
    brightness: luminance(behind(page.querySelector("text") ?? page.body)),
    problems: [...problems],
    counts,
    classes,
  };
}

addEventListener("load", () => {
  const found = [...document.querySelectorAll("iframe")].map((frame) => {
    try {
      return look(frame);
    } catch (error) {
      return { document: frame.dataset.document, problems: [`cannot be looked at: ${error.stack}`] };
    }
  });
  // "<" would end the element that holds it.
  document.getElementById("findings").textContent = JSON.stringify(found).replaceAll("<", "\\u003c");
});
