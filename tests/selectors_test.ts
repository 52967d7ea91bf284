import { assert } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { AfdSelector, DefaultSelector, EpollSelector, PollSelector, SelectSelector } from "../mod.ts";
import { type Os, os } from "../ffi/os/systems.ts";
import { asyncContract } from "./contracts/async_contract.ts";
import { asynchronously, type Contract, type Lacks, selectorContract } from "./contracts/selector_contract.ts";
import { lackedBy } from "./support/needs.ts";
import { hasEpollPwait2, hasPpoll, isWindows, isWine, skip, test } from "./support/util.ts";

const epollLacks: Lacks = { shortTimeouts: hasEpollPwait2() ? null : "this kernel has no epoll_pwait2" };
const pollLacks: Lacks = { shortTimeouts: hasPpoll ? null : "this system has no ppoll()" };
const selectLacks: Lacks = {
  highDescriptors: lackedBy({ emulated: "the emulator crashes in select() at a descriptor above 1,023" }),
  manyDescriptors: lackedBy({ emulated: "the emulator's select() supports only 1,024 descriptors" }),
};

const afdLacks: Lacks = {
  closedWithData: isWine ? "Wine reports the end of the stream when the data has been read" : null,
};

const contracts: readonly [contract: Contract, systems: readonly Os[] | "all but Windows" | "all"][] = [
  [{ name: "EpollSelector", create: () => new EpollSelector(), lacks: epollLacks }, ["linux", "android"]],
  [{
    name: "EpollSelector with a fallback",
    create: () => new EpollSelector({ fallback: "select" }),
    lacks: epollLacks,
  }, [
    "linux",
    "android",
  ]],
  [{ name: "PollSelector", create: () => new PollSelector(), lacks: pollLacks }, "all but Windows"],
  [{ name: "SelectSelector", create: () => new SelectSelector(), lacks: selectLacks }, "all"],
  [{ name: "AfdSelector", create: () => new AfdSelector(), lacks: afdLacks }, ["windows"]],
];

for (const [contract, systems] of contracts) {
  if (systems === "all" || (systems === "all but Windows" ? !isWindows : systems.includes(os))) {
    selectorContract(contract);
    selectorContract({ ...contract, name: `${contract.name}, waiting asynchronously`, select: asynchronously });
    asyncContract(contract);
  } else {
    skip(`the contract of ${contract.name}`, `${os} has no such call`);
  }
}

describe("DefaultSelector", () => {
  test("DefaultSelector is a class that the contracts test, in this file or in libkqueue_test.ts", () => {
    const tested = [...contracts.map(([{ name }]) => name), "KqueueSelector"];
    assert(tested.includes(DefaultSelector.name), DefaultSelector.name);
  });
});
