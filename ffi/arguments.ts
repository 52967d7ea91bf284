/**
 * What callers pass, checked before C reads it as something else.
 *
 * @module
 */

/**
 * Gives an integer that a C `int` can carry, and 0 for -0, which Deno's foreign functions refuse.
 *
 * @param value The number
 * @param what What it stands for, for the message
 * @throws {RangeError} if it is not an integer from -2^31 to 2^31-1
 */
export function checkInt(value: number, what: string): number {
  const int = typeof value === "number" ? value | 0 : NaN;
  if (int === value) return int;
  throw new RangeError(`Cannot use ${show(value)} as ${what}: it must be an integer of 32 bits`);
}

/** A short form of any value, for a message. */
export function show(value: unknown): string {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value);
    case "bigint":
      return `${value}n`;
    case "object":
      return value === null ? "null" : `[object ${value.constructor?.name ?? "Object"}]`;
    case "function":
      return `[function ${value.name}]`;
    default:
      return Object.is(value, -0) ? "-0" : String(value);
  }
}
