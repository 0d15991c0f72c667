// SPDX-License-Identifier: Apache-2.0
// bpf_links. Attaching and replacing take the RTNL lock, and a driver may rebuild its rings meanwhile: they run
// on pool threads.
//
// BPF_LINK_CREATE and BPF_PROG_QUERY are called without libbpf: 1.1 knows neither TCX's relative position nor
// its revision. The structs follow union bpf_attr of Linux 6.6 (include/uapi/linux/bpf.h).
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "args.h"
#include "promise_work.h"
#include "register.h"

namespace mapwire {

namespace {

using Napi::CallbackInfo;
using Napi::Number;
using Napi::Value;

struct LinkCreateAttr {
  uint32_t prog_fd;
  uint32_t target;  // ifindex
  uint32_t attach_type;
  uint32_t flags;
  uint32_t relative;  // fd or id of the program or link before or after which it goes; 0: the first or last
  uint32_t pad;
  uint64_t expected_revision;
};

struct ProgQueryAttr {
  uint32_t target;  // ifindex
  uint32_t attach_type;
  uint32_t query_flags;
  uint32_t attach_flags;
  uint64_t prog_ids;
  uint32_t count;
  uint32_t pad;
  uint64_t prog_attach_flags;
  uint64_t link_ids;
  uint64_t link_attach_flags;
  uint64_t revision;
};

template <typename Attr>
int Bpf(int command, Attr* attr) {
  return static_cast<int>(syscall(__NR_bpf, command, attr, sizeof(*attr)));
}

// linkCreate(program fd, {ifindex, attachType, flags, relative, expectedRevision}): Promise<fd or -errno>
Value LinkCreate(const CallbackInfo& info) {
  struct State {
    UniqueFd program;
    LinkCreateAttr attr{};
    UniqueFd link;
    int error = 0;
  };
  auto state = std::make_shared<State>();
  auto options = info[1].As<Napi::Object>();
  state->program = UniqueFd::Duplicate(FdArg(info, 0, FdKind::kProgram));
  state->attr.prog_fd = static_cast<uint32_t>(state->program.get());
  state->attr.target = U32Member(options, "ifindex", 0);
  state->attr.attach_type = U32Member(options, "attachType", 0);
  state->attr.flags = U32Member(options, "flags", 0);
  state->attr.relative = U32Member(options, "relative", 0);
  state->attr.expected_revision = U64Member(options, "expectedRevision", 0);
  return PromiseWork::Queue(
      info.Env(), "linkCreate",
      [state] {
        int fd = Bpf(BPF_LINK_CREATE, &state->attr);
        if (fd < 0) state->error = errno;
        state->link.Reset(fd);
      },
      [state](Napi::Env env) -> Value {
        if (!state->link.valid()) return Number::New(env, -state->error);
        return Number::New(env, Context::Of(env).fds.Adopt(std::move(state->link), FdKind::kLink));
      });
}

// linkUpdate(link fd, program fd, expected old program fd or undefined): Promise<0 or -errno>
Value LinkUpdate(const CallbackInfo& info) {
  struct State {
    UniqueFd link, program, old;
    int error = 0;
  };
  auto state = std::make_shared<State>();
  state->link = UniqueFd::Duplicate(FdArg(info, 0, FdKind::kLink));
  state->program = UniqueFd::Duplicate(FdArg(info, 1, FdKind::kProgram));
  if (!info[2].IsUndefined()) state->old = UniqueFd::Duplicate(FdArg(info, 2, FdKind::kProgram));
  return PromiseWork::Queue(
      info.Env(), "linkUpdate",
      [state] {
        LIBBPF_OPTS(bpf_link_update_opts, options);
        if (state->old.valid()) {
          options.flags = BPF_F_REPLACE;
          options.old_prog_fd = static_cast<uint32_t>(state->old.get());
        }
        if (bpf_link_update(state->link.get(), state->program.get(), &options) != 0) state->error = errno;
      },
      [state](Napi::Env env) -> Value { return Number::New(env, -state->error); });
}

// linkDetach(link fd): Promise<0 or -errno>
Value LinkDetach(const CallbackInfo& info) {
  struct State {
    UniqueFd link;
    int error = 0;
  };
  auto state = std::make_shared<State>();
  state->link = UniqueFd::Duplicate(FdArg(info, 0, FdKind::kLink));
  return PromiseWork::Queue(
      info.Env(), "linkDetach",
      [state] {
        if (bpf_link_detach(state->link.get()) != 0) state->error = errno;
      },
      [state](Napi::Env env) -> Value { return Number::New(env, -state->error); });
}

// programQuery(ifindex, attach type): {revision, programs: [{programId, linkId}]}, or -errno
Value ProgramQuery(const CallbackInfo& info) {
  constexpr uint32_t kMost = 256;
  std::vector<uint32_t> programs(kMost), links(kMost);
  ProgQueryAttr attr{};
  attr.target = U32Arg(info[0], "ifindex");
  attr.attach_type = U32Arg(info[1], "attachType");
  attr.prog_ids = reinterpret_cast<uint64_t>(programs.data());
  attr.link_ids = reinterpret_cast<uint64_t>(links.data());
  attr.count = kMost;
  if (Bpf(BPF_PROG_QUERY, &attr) != 0) return Number::New(info.Env(), -errno);
  auto list = Napi::Array::New(info.Env(), attr.count);
  for (uint32_t i = 0; i < attr.count && i < kMost; i++) {
    auto entry = Napi::Object::New(info.Env());
    entry.Set("programId", programs[i]);
    entry.Set("linkId", links[i]);
    list.Set(i, entry);
  }
  auto result = Napi::Object::New(info.Env());
  result.Set("revision", Napi::BigInt::New(info.Env(), attr.revision));
  result.Set("programs", list);
  return result;
}

}  // namespace

void RegisterLink(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "linkCreate", LinkCreate);
  Export(env, exports, "linkUpdate", LinkUpdate);
  Export(env, exports, "linkDetach", LinkDetach);
  Export(env, exports, "programQuery", ProgramQuery);
}

}  // namespace mapwire
