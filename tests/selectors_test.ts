import { DefaultSelector, EpollSelector, PollSelector, SelectSelector } from "../mod.ts";
import { selectorContract } from "./selector_contract.ts";
import { hasEpollPwait2 } from "./util.ts";

const coarse = hasEpollPwait2()
  ? {}
  : { "select() waits for a tenth of a millisecond, and not for a whole one": "this kernel has no epoll_pwait2" };

selectorContract({ name: "EpollSelector", create: () => new EpollSelector(), skips: coarse });
selectorContract({ name: "PollSelector", create: () => new PollSelector() });
selectorContract({ name: "SelectSelector", create: () => new SelectSelector() });
selectorContract({ name: "DefaultSelector", create: () => new DefaultSelector(), skips: coarse });
