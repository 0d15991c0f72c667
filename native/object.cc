// SPDX-License-Identifier: Apache-2.0
#include "object.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "args.h"
#include "print_capture.h"
#include "promise_work.h"
#include "register.h"

namespace mapwire {

namespace {

// libbpf's error with what it said, as {errno, output} on an Error.
Napi::Error LibbpfError(Napi::Env env, const char* call, int error, const std::string& output) {
  Napi::Error result = Napi::Error::New(env, std::string(call) + ": " + strerror(error));
  result.Set("errno", Napi::Number::New(env, error));
  result.Set("syscall", Napi::String::New(env, call));
  result.Set("output", Napi::String::New(env, output));
  return result;
}

// A descriptor that outlives the object; JavaScript gets it on the main thread.
struct Loaded {
  std::string name;
  UniqueFd fd;
};

}  // namespace

void BpfObject::Register(Napi::Env env, Napi::Object exports) {
  exports.Set("BpfObject", DefineClass(env, "BpfObject",
                                       {
                                           InstanceMethod<&BpfObject::Describe>("describe"),
                                           InstanceMethod<&BpfObject::SetMaxEntries>("setMaxEntries"),
                                           InstanceMethod<&BpfObject::ReuseMap>("reuseMap"),
                                           InstanceMethod<&BpfObject::SetInnerMap>("setInnerMap"),
                                           InstanceMethod<&BpfObject::SetAutocreate>("setAutocreate"),
                                           InstanceMethod<&BpfObject::InitialValue>("initialValue"),
                                           InstanceMethod<&BpfObject::SetInitialValue>("setInitialValue"),
                                           InstanceMethod<&BpfObject::FindVariable>("findVariable"),
                                           InstanceMethod<&BpfObject::SetAutoload>("setAutoload"),
                                           InstanceMethod<&BpfObject::SetProgramType>("setProgramType"),
                                           InstanceMethod<&BpfObject::SetProgramDevice>("setProgramDevice"),
                                           InstanceMethod<&BpfObject::SetLogLevel>("setLogLevel"),
                                           InstanceMethod<&BpfObject::Load>("load"),
                                           InstanceMethod<&BpfObject::Close>("close"),
                                       }));
}

// new BpfObject(bytes, name): throws {errno, output}
BpfObject::BpfObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<BpfObject>(info) {
  Bytes bytes = BytesArg(info[0], "bytes");
  std::string name = StringArg(info[1], "name");
  LIBBPF_OPTS(bpf_object_open_opts, options);
  options.object_name = name.c_str();
  PrintCapture capture;
  // A copy, for libelf's alignment; libbpf needs it during this call only.
  std::vector<uint8_t> elf(bytes.data, bytes.data + bytes.size);
  object_.reset(bpf_object__open_mem(elf.data(), elf.size(), &options));
  if (!object_) throw LibbpfError(info.Env(), "bpf_object__open_mem", errno, capture.text());
}

bpf_object* BpfObject::Open(Napi::Env env) const {
  if (!object_) throw Napi::Error::New(env, "the object is closed or loaded");
  return object_.get();
}

bpf_map* BpfObject::FindMap(const Napi::Value& name) const {
  std::string text = StringArg(name, "map");
  bpf_map* map = bpf_object__find_map_by_name(Open(name.Env()), text.c_str());
  if (map == nullptr) throw Napi::RangeError::New(name.Env(), "no map '" + text + "'");
  return map;
}

bpf_program* BpfObject::FindProgram(const Napi::Value& name) const {
  std::string text = StringArg(name, "program");
  bpf_program* program = bpf_object__find_program_by_name(Open(name.Env()), text.c_str());
  if (program == nullptr) throw Napi::RangeError::New(name.Env(), "no program '" + text + "'");
  return program;
}

// describe(): {maps: […], programs: […]}
Napi::Value BpfObject::Describe(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  bpf_object* object = Open(env);
  auto maps = Napi::Array::New(env);
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    auto entry = Napi::Object::New(env);
    entry.Set("name", bpf_map__name(map));
    entry.Set("type", static_cast<uint32_t>(bpf_map__type(map)));
    entry.Set("keySize", bpf_map__key_size(map));
    entry.Set("valueSize", bpf_map__value_size(map));
    entry.Set("maxEntries", bpf_map__max_entries(map));
    entry.Set("flags", bpf_map__map_flags(map));
    entry.Set("internal", bpf_map__is_internal(map));
    maps.Set(maps.Length(), entry);
  }
  auto programs = Napi::Array::New(env);
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object) {
    auto entry = Napi::Object::New(env);
    entry.Set("name", bpf_program__name(program));
    entry.Set("section", bpf_program__section_name(program));
    entry.Set("type", static_cast<uint32_t>(bpf_program__type(program)));
    entry.Set("expectedAttachType", static_cast<uint32_t>(bpf_program__expected_attach_type(program)));
    entry.Set("instructions", static_cast<double>(bpf_program__insn_cnt(program)));
    programs.Set(programs.Length(), entry);
  }
  auto result = Napi::Object::New(env);
  result.Set("maps", maps);
  result.Set("programs", programs);
  return result;
}

// setMaxEntries(map, n): 0 or -errno
Napi::Value BpfObject::SetMaxEntries(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), bpf_map__set_max_entries(FindMap(info[0]), U32Arg(info[1], "n")));
}

// reuseMap(map, fd): 0 or -errno; the object takes a descriptor of its own
Napi::Value BpfObject::ReuseMap(const Napi::CallbackInfo& info) {
  bpf_map* map = FindMap(info[0]);
  PrintCapture capture;
  return Napi::Number::New(info.Env(), bpf_map__reuse_fd(map, MapArgument(info, 1).fd));
}

// setInnerMap(map, fd): 0 or -errno; the template of a map of maps
Napi::Value BpfObject::SetInnerMap(const Napi::CallbackInfo& info) {
  bpf_map* map = FindMap(info[0]);
  UniqueFd fd = UniqueFd::Duplicate(MapArgument(info, 1).fd);
  if (!fd.valid()) return Napi::Number::New(info.Env(), -errno);
  PrintCapture capture;
  int error = bpf_map__set_inner_map_fd(map, fd.get());
  if (error == 0) borrowed_.push_back(std::move(fd));
  return Napi::Number::New(info.Env(), error);
}

// setAutocreate(map, wanted): 0 or -errno
Napi::Value BpfObject::SetAutocreate(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), bpf_map__set_autocreate(FindMap(info[0]), info[1].ToBoolean()));
}

// initialValue(map): Uint8Array, or undefined for a map without one
Napi::Value BpfObject::InitialValue(const Napi::CallbackInfo& info) {
  size_t size = 0;
  const void* data = bpf_map__initial_value(FindMap(info[0]), &size);
  if (data == nullptr) return info.Env().Undefined();
  auto copy = Napi::Uint8Array::New(info.Env(), size);
  memcpy(copy.Data(), data, size);
  return copy;
}

// setInitialValue(map, bytes): 0 or -errno; the whole value
Napi::Value BpfObject::SetInitialValue(const Napi::CallbackInfo& info) {
  bpf_map* map = FindMap(info[0]);
  Bytes bytes = BytesArg(info[1], "bytes");
  return Napi::Number::New(info.Env(), bpf_map__set_initial_value(map, bytes.data, bytes.size));
}

// findVariable(name): {section, offset, size}, or undefined
Napi::Value BpfObject::FindVariable(const Napi::CallbackInfo& info) {
  std::string wanted = StringArg(info[0], "name");
  const btf* types = bpf_object__btf(Open(info.Env()));
  if (types == nullptr) return info.Env().Undefined();
  uint32_t count = btf__type_cnt(types);
  for (uint32_t id = 1; id < count; id++) {
    const btf_type* section = btf__type_by_id(types, id);
    if (!btf_is_datasec(section)) continue;
    const btf_var_secinfo* variable = btf_var_secinfos(section);
    for (uint16_t i = 0; i < btf_vlen(section); i++, variable++) {
      const btf_type* type = btf__type_by_id(types, variable->type);
      if (!btf_is_var(type) || wanted != btf__name_by_offset(types, type->name_off)) continue;
      const char* name = btf__name_by_offset(types, section->name_off);
      if (strcmp(name, ".maps") == 0) continue;
      auto result = Napi::Object::New(info.Env());
      result.Set("section", name);
      result.Set("offset", variable->offset);
      result.Set("size", variable->size);
      return result;
    }
  }
  return info.Env().Undefined();
}

// setAutoload(program, wanted): 0 or -errno
Napi::Value BpfObject::SetAutoload(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), bpf_program__set_autoload(FindProgram(info[0]), info[1].ToBoolean()));
}

// setProgramType(program, type, expected attach type): 0 or -errno
Napi::Value BpfObject::SetProgramType(const Napi::CallbackInfo& info) {
  bpf_program* program = FindProgram(info[0]);
  int error = bpf_program__set_type(program, static_cast<bpf_prog_type>(U32Arg(info[1], "type")));
  if (error == 0) {
    error = bpf_program__set_expected_attach_type(
        program, static_cast<bpf_attach_type>(U32Arg(info[2], "expectedAttachType")));
  }
  return Napi::Number::New(info.Env(), error);
}

// setProgramDevice(program, ifindex, flags): 0 or -errno; the flags are added to those that the program has
Napi::Value BpfObject::SetProgramDevice(const Napi::CallbackInfo& info) {
  bpf_program* program = FindProgram(info[0]);
  uint32_t ifindex = U32Arg(info[1], "ifindex");
  uint32_t flags = U32Arg(info[2], "flags");
  bpf_program__set_ifindex(program, ifindex);
  return Napi::Number::New(info.Env(), bpf_program__set_flags(program, bpf_program__flags(program) | flags));
}

// setLogLevel(level): the verifier's log level, also when it accepts
Napi::Value BpfObject::SetLogLevel(const Napi::CallbackInfo& info) {
  uint32_t level = U32Arg(info[0], "level");
  bpf_program* program = nullptr;
  int error = 0;
  bpf_object__for_each_program(program, Open(info.Env())) {
    int failed = bpf_program__set_log_level(program, level);
    if (failed != 0) error = failed;
  }
  log_level_ = level;
  return Napi::Number::New(info.Env(), error);
}

// load(): Promise<{error, output, maps: [{name, fd}], programs: [{name, fd}]}>. The object is spent either way.
Napi::Value BpfObject::Load(const Napi::CallbackInfo& info) {
  struct State {
    std::unique_ptr<bpf_object, ObjectDeleter> object;
    std::vector<UniqueFd> borrowed;
    bool verbose = false;
    int error = 0;
    std::string output;
    std::vector<Loaded> maps, programs;
  };
  Open(info.Env());
  auto state = std::make_shared<State>();
  state->object = std::move(object_);
  state->borrowed = std::move(borrowed_);
  state->verbose = log_level_ > 0;
  return PromiseWork::Queue(
      info.Env(), "BpfObject.load",
      [state] {
        PrintCapture capture(state->verbose);
        int error = bpf_object__load(state->object.get());
        state->error = error < 0 ? -error : error;
        state->output = capture.text();
        if (state->error == 0) {
          bpf_map* map = nullptr;
          bpf_object__for_each_map(map, state->object.get()) {
            int fd = bpf_map__fd(map);
            if (fd >= 0) state->maps.push_back({bpf_map__name(map), UniqueFd::Duplicate(fd)});
          }
          bpf_program* program = nullptr;
          bpf_object__for_each_program(program, state->object.get()) {
            int fd = bpf_program__fd(program);
            if (fd >= 0) state->programs.push_back({bpf_program__name(program), UniqueFd::Duplicate(fd)});
          }
          auto check = [&](const std::vector<Loaded>& list) {
            for (const Loaded& loaded : list) {
              if (!loaded.fd.valid()) state->error = EMFILE;
            }
          };
          check(state->maps);
          check(state->programs);
        }
        state->object.reset();  // closing may take a while too
      },
      [state](Napi::Env env) -> Napi::Value {
        auto result = Napi::Object::New(env);
        result.Set("error", state->error);
        result.Set("output", state->output);
        auto list = [&](std::vector<Loaded>& loaded, FdKind kind) {
          auto array = Napi::Array::New(env);
          if (state->error != 0) return array;
          for (Loaded& one : loaded) {
            auto entry = Napi::Object::New(env);
            entry.Set("name", one.name);
            entry.Set("fd", Context::Of(env).fds.Adopt(std::move(one.fd), kind));
            array.Set(array.Length(), entry);
          }
          return array;
        };
        result.Set("maps", list(state->maps, FdKind::kMap));
        result.Set("programs", list(state->programs, FdKind::kProgram));
        return result;
      });
}

// close(): frees it; idempotent
Napi::Value BpfObject::Close(const Napi::CallbackInfo& info) {
  object_.reset();
  borrowed_.clear();
  return info.Env().Undefined();
}

void RegisterObject(Napi::Env env, Napi::Object exports) {
  BpfObject::Register(env, exports);
}

}  // namespace mapwire
