// SPDX-License-Identifier: Apache-2.0
// A BPF object between open and load. Loading turns it into descriptors and frees the rest.
#pragma once

#include <bpf/libbpf.h>
#include <napi.h>

#include <memory>
#include <string>
#include <vector>

#include "unique_fd.h"

namespace mapwire {

struct ObjectDeleter {
  void operator()(bpf_object* object) const { bpf_object__close(object); }
};

class BpfObject : public Napi::ObjectWrap<BpfObject> {
 public:
  static void Register(Napi::Env env, Napi::Object exports);
  explicit BpfObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value Describe(const Napi::CallbackInfo& info);
  Napi::Value SetMaxEntries(const Napi::CallbackInfo& info);
  Napi::Value ReuseMap(const Napi::CallbackInfo& info);
  Napi::Value SetInnerMap(const Napi::CallbackInfo& info);
  Napi::Value SetAutocreate(const Napi::CallbackInfo& info);
  Napi::Value InitialValue(const Napi::CallbackInfo& info);
  Napi::Value SetInitialValue(const Napi::CallbackInfo& info);
  Napi::Value FindVariable(const Napi::CallbackInfo& info);
  Napi::Value SetAutoload(const Napi::CallbackInfo& info);
  Napi::Value SetProgramType(const Napi::CallbackInfo& info);
  Napi::Value SetProgramDevice(const Napi::CallbackInfo& info);
  Napi::Value SetLogLevel(const Napi::CallbackInfo& info);
  Napi::Value Load(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  bpf_object* Open(Napi::Env env) const;
  bpf_map* FindMap(const Napi::Value& name) const;
  bpf_program* FindProgram(const Napi::Value& name) const;

  std::unique_ptr<bpf_object, ObjectDeleter> object_;
  std::vector<UniqueFd> borrowed_;  // descriptors that libbpf uses but does not own
  uint32_t log_level_ = 0;
};

}  // namespace mapwire
