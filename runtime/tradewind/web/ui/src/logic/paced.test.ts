import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Paced, type Fetched } from "./paced";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("news that come while a fetch is on its way or has just been made bring one more, later", async () => {
  const told: Fetched<number>[] = [];
  let fetches = 0;
  const paced = new Paced(async () => (fetches += 1), (found) => told.push(found), 1_000);
  paced.ask();
  paced.ask();
  paced.ask();
  await vi.advanceTimersByTimeAsync(900);
  expect(fetches).toBe(1);
  await vi.advanceTimersByTimeAsync(200);
  expect(fetches).toBe(2);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(fetches).toBe(2);
  paced.ask();
  await vi.advanceTimersByTimeAsync(0);
  expect(told).toEqual([{ value: 1, problem: null }, { value: 2, problem: null }, { value: 3, problem: null }]);
});

test("a failed fetch is told and leaves what is there, and the next one is made; nothing is told after the end", async () => {
  const told: Fetched<string>[] = [];
  const answers: (() => Promise<string>)[] = [
    () => Promise.reject(new Error("gone")), () => Promise.resolve("here"), () => Promise.reject(new Error("gone again")),
    () => Promise.resolve("late"),
  ];
  const paced = new Paced(() => answers.shift()!(), (found) => told.push(found), 1_000);
  paced.ask();
  paced.ask();
  await vi.advanceTimersByTimeAsync(1_100);
  expect(told.map((one) => one.value)).toEqual([null, "here"]);
  expect(told[0]?.problem).toEqual(new Error("gone"));
  await vi.advanceTimersByTimeAsync(1_100);
  paced.ask();
  await vi.advanceTimersByTimeAsync(1_100);
  expect(told[2]).toEqual({ value: "here", problem: new Error("gone again") });
  paced.ask();
  paced.stop();
  await vi.advanceTimersByTimeAsync(5_000);
  expect(told.length).toBe(3);
});
