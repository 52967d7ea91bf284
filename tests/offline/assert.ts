/**
 * The part of `@std/assert` that the tests use, over Deno's own `node:assert`, for machines that cannot reach JSR.
 *
 * Chosen by `tests/run.ts`; names and meanings are those of `@std/assert`.
 *
 * @module
 */

import assertStrict, { AssertionError } from "node:assert/strict";

export { AssertionError };

// deno-lint-ignore no-explicit-any -- as @std/assert has it: abstract classes and any parameters
type ErrorClass<E extends Error> = abstract new (...args: any[]) => E;

export function assert(condition: unknown, message?: string): asserts condition {
  if (!condition) throw new AssertionError({ message: message ?? "Expected a true value" });
}

export function assertFalse(condition: unknown, message?: string): asserts condition is false {
  assert(!condition, message ?? "Expected a false value");
}

export function assertEquals<T>(actual: T, expected: T, message?: string): void {
  assertStrict.deepStrictEqual(actual, expected, message);
}

export function assertNotEquals<T>(actual: T, expected: T, message?: string): void {
  assertStrict.notDeepStrictEqual(actual, expected, message);
}

export function assertStrictEquals<T>(actual: unknown, expected: T, message?: string): asserts actual is T {
  assertStrict.strictEqual(actual, expected, message);
}

export function assertNotStrictEquals<T>(actual: T, expected: T, message?: string): void {
  assertStrict.notStrictEqual(actual, expected, message);
}

export function assertGreater<T>(actual: T, expected: T, message?: string): void {
  assert(actual > expected, message ?? `Expected ${actual} > ${expected}`);
}

export function assertGreaterOrEqual<T>(actual: T, expected: T, message?: string): void {
  assert(actual >= expected, message ?? `Expected ${actual} >= ${expected}`);
}

export function assertLess<T>(actual: T, expected: T, message?: string): void {
  assert(actual < expected, message ?? `Expected ${actual} < ${expected}`);
}

export function assertLessOrEqual<T>(actual: T, expected: T, message?: string): void {
  assert(actual <= expected, message ?? `Expected ${actual} <= ${expected}`);
}

export function assertStringIncludes(actual: string, expected: string, message?: string): void {
  assert(
    actual.includes(expected),
    message ?? `Expected ${JSON.stringify(actual)} to include ${JSON.stringify(expected)}`,
  );
}

export function assertMatch(actual: string, expected: RegExp, message?: string): void {
  assert(expected.test(actual), message ?? `Expected ${JSON.stringify(actual)} to match ${expected}`);
}

export function assertExists<T>(actual: T, message?: string): asserts actual is NonNullable<T> {
  assert(actual !== undefined && actual !== null, message ?? `Expected ${actual} to be neither null nor undefined`);
}

// deno-lint-ignore no-explicit-any -- as above
export function assertInstanceOf<T extends abstract new (...args: any[]) => any>(
  actual: unknown,
  expected: T,
  message?: string,
): asserts actual is InstanceType<T> {
  assert(actual instanceof expected, message ?? `Expected ${actual} to be an instance of ${expected.name}`);
}

export function assertThrows<E extends Error = Error>(
  body: () => unknown,
  errorClass?: ErrorClass<E>,
  messageIncludes?: string,
): E {
  try {
    body();
  } catch (error) {
    return checkError(error, errorClass, messageIncludes);
  }
  throw new AssertionError({ message: "Expected function to throw" });
}

export async function assertRejects<E extends Error = Error>(
  body: () => PromiseLike<unknown>,
  errorClass?: ErrorClass<E>,
  messageIncludes?: string,
): Promise<E> {
  try {
    await body();
  } catch (error) {
    return checkError(error, errorClass, messageIncludes);
  }
  throw new AssertionError({ message: "Expected function to reject" });
}

export function fail(message?: string): never {
  throw new AssertionError({ message: message ?? "Failed" });
}

function checkError<E extends Error>(error: unknown, errorClass?: ErrorClass<E>, messageIncludes?: string): E {
  if (errorClass !== undefined) assertInstanceOf(error, errorClass, `Expected ${errorClass.name}, but got ${error}`);
  if (messageIncludes !== undefined) assertStringIncludes((error as Error).message, messageIncludes);
  return error as E;
}
