// SPDX-License-Identifier: Apache-2.0
// Verbs for loaded programs.
#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
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

// programLoad({type, name, license, instructions, expectedAttachType, flags}): fd. Raw instructions, for probes.
Value ProgramLoad(const CallbackInfo& info) {
  auto spec = info[0].As<Napi::Object>();
  std::string name = StringArg(spec.Get("name"), "name");
  std::string license = StringArg(spec.Get("license"), "license");
  Bytes bytes = BytesMember(spec, "instructions");
  if (bytes.size == 0 || bytes.size % sizeof(bpf_insn) != 0)
    throw Napi::RangeError::New(info.Env(), "instructions: a multiple of 8 bytes expected");
  std::vector<bpf_insn> instructions(bytes.size / sizeof(bpf_insn));
  memcpy(instructions.data(), bytes.data, bytes.size);
  LIBBPF_OPTS(bpf_prog_load_opts, options);
  options.expected_attach_type = static_cast<bpf_attach_type>(U32Member(spec, "expectedAttachType", 0));
  options.prog_flags = U32Member(spec, "flags", 0);
  int fd = bpf_prog_load(static_cast<bpf_prog_type>(U32Member(spec, "type", 0)), name.c_str(), license.c_str(),
                         instructions.data(), instructions.size(), &options);
  if (fd < 0) return Number::New(info.Env(), -errno);
  return Number::New(info.Env(), Context::Of(info.Env()).fds.Adopt(UniqueFd(fd), FdKind::kProgram));
}

struct TestRun {
  uint32_t repeat = 0;
  uint32_t flags = 0;
  uint32_t cpu = 0;
  uint32_t batch_size = 0;
  uint32_t data_out_size = 0;
  uint32_t ctx_out_size = 0;
  int error = 0;
  uint32_t retval = 0;
  uint32_t duration = 0;
};

TestRun TestRunArg(const Napi::Object& options) {
  TestRun run;
  run.repeat = U32Member(options, "repeat", 1);
  run.flags = U32Member(options, "flags", 0);
  run.cpu = U32Member(options, "cpu", 0);
  run.batch_size = U32Member(options, "batchSize", 0);
  run.data_out_size = U32Member(options, "dataOutSize", 0);
  run.ctx_out_size = U32Member(options, "ctxOutSize", 0);
  return run;
}

void Execute(int fd, TestRun* run, Bytes data, Bytes ctx, uint8_t* data_out, uint8_t* ctx_out) {
  LIBBPF_OPTS(bpf_test_run_opts, options);
  options.data_in = data.data;
  options.data_size_in = static_cast<uint32_t>(data.size);
  options.ctx_in = ctx.data;
  options.ctx_size_in = static_cast<uint32_t>(ctx.size);
  if (run->data_out_size > 0) {
    options.data_out = data_out;
    options.data_size_out = run->data_out_size;
  }
  if (run->ctx_out_size > 0) {
    options.ctx_out = ctx_out;
    options.ctx_size_out = run->ctx_out_size;
  }
  options.repeat = static_cast<int>(run->repeat);
  options.flags = run->flags;
  options.cpu = run->cpu;
  options.batch_size = run->batch_size;
  run->error = bpf_prog_test_run_opts(fd, &options) == 0 ? 0 : errno;
  run->retval = options.retval;
  run->duration = options.duration;
  // With ENOSPC the kernel tells the size it would have needed.
  uint32_t room = run->data_out_size;
  run->data_out_size = run->error == ENOSPC ? options.data_size_out : std::min(options.data_size_out, room);
  run->ctx_out_size = std::min(options.ctx_size_out, run->ctx_out_size);
}

Napi::Object ToValue(Napi::Env env, const TestRun& run, const uint8_t* data_out, const uint8_t* ctx_out) {
  auto result = Napi::Object::New(env);
  result.Set("error", run.error);
  result.Set("retval", run.retval);
  result.Set("duration", run.duration);
  result.Set("dataSize", run.data_out_size);
  if (run.error == 0) {
    auto data = Napi::Uint8Array::New(env, run.data_out_size);
    if (run.data_out_size > 0) memcpy(data.Data(), data_out, run.data_out_size);
    result.Set("data", data);
    auto ctx = Napi::Uint8Array::New(env, run.ctx_out_size);
    if (run.ctx_out_size > 0) memcpy(ctx.Data(), ctx_out, run.ctx_out_size);
    result.Set("ctx", ctx);
  }
  return result;
}

// programTestRun(fd, options): {error, retval, duration, dataSize, data, ctx}
Value ProgramTestRun(const CallbackInfo& info) {
  int fd = FdArg(info, 0, FdKind::kProgram);
  auto options = info[1].As<Napi::Object>();
  TestRun run = TestRunArg(options);
  std::vector<uint8_t>& scratch = Context::Of(info.Env()).scratch;
  size_t needed = static_cast<size_t>(run.data_out_size) + run.ctx_out_size;
  if (scratch.size() < needed) scratch.resize(needed);
  uint8_t* ctx_out = scratch.data() + run.data_out_size;
  Execute(fd, &run, BytesMember(options, "data"), BytesMember(options, "ctx"), scratch.data(), ctx_out);
  return ToValue(info.Env(), run, scratch.data(), ctx_out);
}

// programTestRunAsync(fd, options): the same on a pool thread, for live frames and many repeats
Value ProgramTestRunAsync(const CallbackInfo& info) {
  struct State {
    UniqueFd fd;
    TestRun run;
    std::vector<uint8_t> data, ctx, data_out, ctx_out;
  };
  auto options = info[1].As<Napi::Object>();
  auto state = std::make_shared<State>();
  int fd = FdArg(info, 0, FdKind::kProgram);
  state->run = TestRunArg(options);
  Bytes data = BytesMember(options, "data");
  Bytes ctx = BytesMember(options, "ctx");
  state->data.assign(data.data, data.data + data.size);
  state->ctx.assign(ctx.data, ctx.data + ctx.size);
  state->data_out.resize(state->run.data_out_size);
  state->ctx_out.resize(state->run.ctx_out_size);
  state->fd = UniqueFd::Duplicate(fd);
  return PromiseWork::Queue(
      info.Env(), "programTestRun",
      [state] {
        Bytes data_in{state->data.empty() ? nullptr : state->data.data(), state->data.size()};
        Bytes ctx_in{state->ctx.empty() ? nullptr : state->ctx.data(), state->ctx.size()};
        Execute(state->fd.get(), &state->run, data_in, ctx_in, state->data_out.data(), state->ctx_out.data());
      },
      [state](Napi::Env env) -> Value {
        return ToValue(env, state->run, state->data_out.data(), state->ctx_out.data());
      });
}

// programMapIds(fd): number[], or -errno
Value ProgramMapIds(const CallbackInfo& info) {
  int fd = FdArg(info, 0, FdKind::kProgram);
  bpf_prog_info program{};
  uint32_t length = sizeof(program);
  if (bpf_obj_get_info_by_fd(fd, &program, &length) != 0) return Number::New(info.Env(), -errno);
  std::vector<uint32_t> ids(program.nr_map_ids);
  bpf_prog_info again{};
  again.nr_map_ids = program.nr_map_ids;
  again.map_ids = reinterpret_cast<uint64_t>(ids.data());
  length = sizeof(again);
  if (bpf_obj_get_info_by_fd(fd, &again, &length) != 0) return Number::New(info.Env(), -errno);
  auto result = Napi::Array::New(info.Env(), ids.size());
  for (uint32_t i = 0; i < ids.size(); i++) result.Set(i, ids[i]);
  return result;
}

// programBindMap(fd, map fd): 0 or -errno; the program then keeps the map
Value ProgramBindMap(const CallbackInfo& info) {
  int fd = FdArg(info, 0, FdKind::kProgram);
  MapArg map = MapArgument(info, 1);
  return Number::New(info.Env(), bpf_prog_bind_map(fd, map.fd, nullptr) == 0 ? 0 : -errno);
}

}  // namespace

void RegisterProgram(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "programLoad", ProgramLoad);
  Export(env, exports, "programTestRun", ProgramTestRun);
  Export(env, exports, "programTestRunAsync", ProgramTestRunAsync);
  Export(env, exports, "programMapIds", ProgramMapIds);
  Export(env, exports, "programBindMap", ProgramBindMap);
}

}  // namespace mapwire
