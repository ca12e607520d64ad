import { expect, test } from "vitest";
import { Meanwhile } from "./meanwhile";

test("each fetch gets the news since it began, in their order", () => {
  const news = new Meanwhile<string>();
  news.tell("before");
  const first = news.begin();
  news.tell("a");
  const second = news.begin();
  news.tell("b");
  expect(news.answered(first)).toEqual(["a", "b"]);
  news.tell("c");
  expect(news.answered(second)).toEqual(["b", "c"]);
});

test("an answer that is overtaken by a later one is not taken; one that is not is, though a later one is on its way", () => {
  const news = new Meanwhile<string>();
  const [first, second, third] = [news.begin(), news.begin(), news.begin()];
  expect(news.answered(second)).toEqual([]);
  expect(news.answered(first)).toBeNull();
  expect(news.answered(third)).toEqual([]);
});

test("only the failure of the latest fetch counts", () => {
  const news = new Meanwhile<string>();
  const [first, second] = [news.begin(), news.begin()];
  expect(news.failed(first)).toBe(false);
  expect(news.failed(second)).toBe(true);
});
