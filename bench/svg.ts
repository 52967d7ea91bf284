/**
 * Draws curves and bars as SVG.
 *
 * The library is not in deno.json, because `deno task` downloads all imports of deno.json, even to run the tests.
 *
 * @module
 */

// deno-lint-ignore no-import-prefix -- see above
import * as vega from "npm:vega@^6.4.0";
// deno-lint-ignore no-import-prefix -- see above
import { compile, type TopLevelSpec } from "npm:vega-lite@^6.5.0";
import { median, showNumber, type Spread } from "./report.ts";

/** Width of a letter relative to its height, in wide fonts such as DejaVu Sans. Vega assumes 0.8. */
const LETTER = 0.6;
/** Vega's text measurement, which its types omit. */
interface TextMetrics {
  width(item: { fontSize: number }, text: unknown): number;
}
(vega as unknown as { textMetrics: TextMetrics }).textMetrics.width = ({ fontSize }, text) =>
  LETTER * fontSize * `${text}`.length;

/** Maximum number of characters in a subtitle line. */
const LINE = 118;

/** A point of a curve. */
export interface Point {
  /** The name of the curve. */
  name: string;
  /** Number of descriptors. */
  count: number;
  value: number;
}

/** A bar in a group of bars. */
export interface Bar {
  name: string;
  group: string;
  /** True for the bar to highlight. */
  isOurs: boolean;
  value: Spread;
}

/** The text around a plot. */
export interface Words {
  title: string;
  /** The small print; it is wrapped at semicolons. */
  subtitle: string;
  x: string;
  y?: string;
}

/** Settings for all plots: black on white, so that they are readable on a page of any color. */
const COMMON = {
  $schema: "https://vega.github.io/schema/vega-lite/v6.json",
  background: "white",
  padding: 12,
  config: {
    aria: false, // the file has a single description
    font: "sans-serif",
    axis: { labelFlush: false, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal", gridColor: "#e5e5e5" },
    legend: { labelFontSize: 12, title: null, labelLimit: 0 },
    title: { fontSize: 15, anchor: "start", subtitleFontSize: 11, subtitleColor: "#555555", offset: 14 },
  },
} as const;

/** Returns curves over the number of descriptors, on a logarithmic axis. The other axis may also be logarithmic. */
export function curves(points: Point[], { title, subtitle, x, y = "" }: Words, isLogarithmic: boolean): TopLevelSpec {
  const powers = [0.1, 1, 10, 100, 1_000, 10_000];
  return {
    ...COMMON,
    title: { text: title, subtitle: wrapped(subtitle) },
    description: described(
      `${y} by ${x}`,
      points.map(({ name, count, value }) => [name, `${short(value)} at ${showNumber(count)}`]),
    ),
    width: 560,
    height: 300,
    data: { values: points },
    mark: { type: "line", point: { size: 45 }, strokeWidth: 2 },
    encoding: {
      x: {
        field: "count",
        type: "quantitative",
        title: x,
        scale: { type: "symlog", constant: 5 },
        axis: { values: [...new Set(points.map(({ count }) => count))], format: ",.0f" },
      },
      y: {
        field: "value",
        type: "quantitative",
        title: y,
        scale: isLogarithmic ? { type: "log", domainMin: powers[0]! } : {},
        axis: isLogarithmic ? { values: powers, format: ",~r" } : { format: ",.0f" },
      },
      color: { field: "name", type: "nominal", sort: null, legend: { orient: "right" } },
      shape: { field: "name", type: "nominal", sort: null },
    },
  };
}

/** Bars that are longer than twice the median of all bars are cut, so that the other bars remain readable. */
const CUT = 2;

/** Returns bars in panels, shortest on top, each with the range over the rounds. All panels share one axis. */
export function bars(all: Bar[], { title, subtitle, x }: Words): TopLevelSpec {
  const limit = CUT * median(all.map(({ value }) => value.median));
  const values = all.toSorted((a, b) => a.value.median - b.value.median).map(({ value, ...bar }) => ({
    ...bar,
    length: Math.min(value.median, limit),
    min: Math.min(value.min, limit),
    max: Math.min(value.max, limit),
    value: short(value.median),
    label: `${short(value.median)}${value.median > limit ? " (cut)" : ""}`,
  }));
  const domain = [0, Math.max(...values.map(({ max }) => max))];
  return {
    ...COMMON,
    title: { text: title, subtitle: wrapped(subtitle) },
    description: described(x, values.map(({ group, name, value }) => [group, `${name} ${value}`])),
    vconcat: [...new Set(all.map(({ group }) => group))].map((group) => ({
      title: { text: group, fontSize: 12, fontWeight: "normal" },
      width: 620,
      height: { step: 22 },
      data: { values: values.filter((bar) => bar.group === group) },
      encoding: { y: { field: "name", type: "nominal", title: null, sort: null } },
      layer: [
        {
          mark: { type: "bar", height: { band: 0.75 } },
          encoding: {
            x: { field: "length", type: "quantitative", title: x, scale: { domain, nice: false } },
            color: { condition: { test: "datum.isOurs", value: "#d95f02" }, value: "#8da0b5" },
          },
        },
        {
          mark: { type: "rule", color: "#333333" },
          encoding: { x: { field: "min", type: "quantitative" }, x2: { field: "max" } },
        },
        {
          mark: { type: "text", align: "left", dx: 6, fontSize: 11 },
          encoding: { x: { field: "max", type: "quantitative" }, text: { field: "label", type: "nominal" } },
        },
      ],
    })),
  };
}

function wrapped(text: string): string[] {
  const lines: string[] = [];
  for (const part of text.split("; ")) {
    const line = `${lines.at(-1)}; ${part}`;
    if (lines.length > 0 && line.length <= LINE) lines[lines.length - 1] = line;
    else lines.push(part);
  }
  return lines;
}

function short(value: number): string {
  return showNumber(value, value < 100 ? 1 : 0);
}

/** Returns a text alternative: the values of each curve, or of each group of bars. */
function described(axis: string, values: [name: string, value: string][]): string {
  const names = [...new Set(values.map(([name]) => name))];
  const listOf = (name: string) => values.filter((one) => one[0] === name).map(([, value]) => value).join("; ");
  return [axis, ...names.map((name) => `${name}: ${listOf(name)}`)].map((sentence) => `${sentence}.`).join(" ");
}

/** Writes a plot as SVG, with its title and description. */
export async function writeSvg(path: string, spec: TopLevelSpec): Promise<void> {
  const view = new vega.View(vega.parse(compile(spec).spec), { renderer: "none" });
  const svg = await view.toSVG();
  view.finalize();
  const escape = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  const { text } = spec.title as { text: string };
  const words = `\n  <title>${escape(text)}</title>\n  <desc>${escape(spec.description!)}</desc>`;
  await Deno.writeTextFile(
    path,
    `${svg.replace(/^<svg ([^>]*)>/, `<svg role="img" $1>${words.replaceAll("$", "$$$$")}`)}\n`,
  );
}
