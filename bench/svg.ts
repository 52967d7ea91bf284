/**
 * Draws curves and bars as SVG.
 *
 * The library is not in deno.json, because `deno task` downloads all imports of deno.json, even to run the tests.
 *
 * @module
 */

// deno-lint-ignore no-import-prefix -- see above
import { parse, View } from "npm:vega@^6.4.0";
// deno-lint-ignore no-import-prefix -- see above
import { compile, type TopLevelSpec } from "npm:vega-lite@^6.5.0";
import type { Spread } from "./report.ts";

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

/** The text around a picture. */
export interface Words {
  title: string;
  subtitle: string[];
  x: string;
  y?: string;
}

/** Settings of all pictures; black on white, so that they are readable on a page of any colour. */
const COMMON = {
  $schema: "https://vega.github.io/schema/vega-lite/v6.json",
  background: "white",
  padding: 12,
  config: {
    font: "sans-serif",
    axis: { labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal", gridColor: "#e5e5e5" },
    legend: { labelFontSize: 12, title: null, labelLimit: 0 },
    title: { fontSize: 15, anchor: "start", subtitleFontSize: 11, subtitleColor: "#555555", offset: 14 },
  },
} as const;

/** Returns curves by the number of descriptors, on a logarithmic axis; the other axis is optionally logarithmic too. */
export function curves(points: Point[], { title, subtitle, x, y }: Words, isLogarithmic: boolean): TopLevelSpec {
  const powers = [0.1, 1, 10, 100, 1_000, 10_000];
  return {
    ...COMMON,
    title: { text: title, subtitle },
    width: 520,
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
        title: y ?? null,
        scale: isLogarithmic ? { type: "log", domainMin: powers[0]! } : {},
        axis: isLogarithmic ? { values: powers, format: ",~r" } : { format: ",.0f" },
      },
      color: { field: "name", type: "nominal", sort: null, legend: { orient: "right" } },
      shape: { field: "name", type: "nominal", sort: null },
    },
  };
}

/** Returns bars, the shortest on top, each with the range over the rounds. */
export function bars(all: Bar[], { title, subtitle, x }: Words): TopLevelSpec {
  const values = all.map(({ value, ...bar }) => ({ ...bar, ...value })).sort((a, b) => a.median - b.median);
  return {
    ...COMMON,
    title: { text: title, subtitle },
    vconcat: [...new Set(all.map(({ group }) => group))].map((group) => ({
      title: { text: group, fontSize: 12, fontWeight: "normal" },
      width: 480,
      height: { step: 22 },
      data: { values: values.filter((bar) => bar.group === group) },
      encoding: { y: { field: "name", type: "nominal", title: null, sort: null } },
      layer: [
        {
          mark: { type: "bar", height: { band: 0.75 } },
          encoding: {
            x: { field: "median", type: "quantitative", title: x },
            color: { condition: { test: "datum.isOurs", value: "#d95f02" }, value: "#8da0b5" },
          },
        },
        {
          mark: { type: "rule", color: "#333333" },
          encoding: { x: { field: "min", type: "quantitative" }, x2: { field: "max" } },
        },
        {
          mark: { type: "text", align: "left", dx: 6, fontSize: 11 },
          encoding: {
            x: { field: "max", type: "quantitative" },
            text: { field: "median", type: "quantitative", format: ".1f" },
          },
        },
      ],
    })),
  };
}

/** Writes a picture as SVG. */
export async function writeSvg(path: string, spec: TopLevelSpec): Promise<void> {
  const view = new View(parse(compile(spec).spec), { renderer: "none" });
  await Deno.writeTextFile(path, `${await view.toSVG()}\n`);
  view.finalize();
}
