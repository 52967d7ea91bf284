import { DefaultSelector, EpollSelector, PollSelector, SelectSelector } from "../mod.ts";
import { selectorContract } from "./selector_contract.ts";
import { hasEpollPwait2, isEmulated } from "./util.ts";

const coarse = hasEpollPwait2()
  ? {}
  : { "select() waits for a tenth of a millisecond, and not for a whole one": "this kernel has no epoll_pwait2" };

const narrow = !isEmulated ? {} : {
  "register() takes a descriptor above 1,024": "the emulator ends the process at such a descriptor in select()",
  "select() reports as many as the system lets be open, in one call": "the emulator's select() knows 1,024 descriptors",
};

selectorContract({ name: "EpollSelector", create: () => new EpollSelector(), skips: coarse });
selectorContract({ name: "PollSelector", create: () => new PollSelector() });
selectorContract({ name: "SelectSelector", create: () => new SelectSelector(), skips: narrow });
selectorContract({ name: "DefaultSelector", create: () => new DefaultSelector(), skips: coarse });
