#include "base/file_io.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

namespace enn {
namespace {

Status system_failure(const char* what, const std::filesystem::path& path, int error_number) {
  return error(Code::InvalidArgument, "cannot ", what, " ", path, ": ",
               std::generic_category().message(error_number));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { close(); }

  [[nodiscard]] bool valid() const { return fd_ >= 0; }
  [[nodiscard]] int get() const { return fd_; }
  // False with errno when the system reports a late write error.
  bool close() { return fd_ < 0 || ::close(std::exchange(fd_, -1)) == 0; }

 private:
  int fd_;
};

Status write_all(int fd, std::span<const std::byte> bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return system_failure("write", path, errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

// Makes a rename in `folder` durable. Some file systems cannot; the data itself is then safe all
// the same.
void sync_folder(const std::filesystem::path& folder) {
  const Descriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (descriptor.valid()) (void)::fsync(descriptor.get());
}

std::filesystem::path temporary_name(const std::filesystem::path& path) {
  static std::atomic<unsigned> counter{0};
  std::filesystem::path name = path;
  name += str(".", ::getpid(), ".", counter.fetch_add(1), ".tmp");
  return name;
}

Status write_and_rename(Descriptor& file, const std::filesystem::path& temporary,
                        const std::filesystem::path& path, std::span<const std::byte> bytes) {
  ENN_TRY(write_all(file.get(), bytes, path));
  if (::fsync(file.get()) != 0 || !file.close()) return system_failure("write", path, errno);
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    return system_failure("replace", path, errno);
  }
  return {};
}

// What there is at a path, behind links; nullopt when there is nothing.
std::optional<struct stat> status_of(const std::filesystem::path& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return std::nullopt;
  return info;
}

bool is_same(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

bool is_standard_output(const struct stat& info) {
  struct stat output{};
  return ::fstat(STDOUT_FILENO, &output) == 0 && is_same(info, output);
}

// The path that a symbolic link leads to, which need not exist.
Result<std::filesystem::path> without_links(std::filesystem::path path) {
  constexpr int kMostLinks = 40;  // as Linux follows
  for (int i = 0; i < kMostLinks; ++i) {
    std::error_code failure;
    if (!std::filesystem::is_symlink(std::filesystem::symlink_status(path, failure))) return path;
    const std::filesystem::path next = std::filesystem::read_symlink(path, failure);
    if (failure) return system_failure("follow the link", path, failure.value());
    path = next.is_absolute() ? next : path.parent_path() / next;
  }
  return system_failure("follow the link", path, ELOOP);
}

// Writes without making a new file.
Status write_in_place(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  Descriptor file(::open(path.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC));
  if (!file.valid()) return system_failure("open", path, errno);
  ENN_TRY(write_all(file.get(), bytes, path));
  if (!file.close()) return system_failure("write", path, errno);
  return {};
}

// A new file beside `path`, which write_and_rename() gives its name.
Result<int> open_temporary(const std::filesystem::path& temporary,
                           const std::filesystem::path& path) {
  const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file < 0) return system_failure("create a file beside", path, errno);
  return file;
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return system_failure("open", path, errno);
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) return system_failure("read", path, errno);
  if (!S_ISREG(info.st_mode)) return error(Code::InvalidArgument, path, " is not a regular file");
  const auto size = static_cast<std::size_t>(info.st_size);
  if (size == 0) return MappedFile({});
  void* const bytes = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (bytes == MAP_FAILED) return system_failure("map", path, errno);
  return MappedFile({static_cast<const std::byte*>(bytes), size});
}

void MappedFile::release_first(std::size_t size) const noexcept {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t whole = std::min(size, bytes_.size()) / page * page;
  // Advice that is not taken costs memory and nothing else.
  if (whole > 0) (void)::madvise(const_cast<std::byte*>(bytes_.data()), whole, MADV_DONTNEED);
}

MappedFile::~MappedFile() {
  if (bytes_.empty()) return;
  (void)::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

Result<std::vector<std::byte>> read_file(const std::filesystem::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return system_failure("open", path, errno);
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) return system_failure("read", path, errno);
  if (S_ISDIR(info.st_mode)) return system_failure("read", path, EISDIR);

  // A pipe or a growing file has more than fstat said: read until the end.
  std::vector<std::byte> bytes(static_cast<std::size_t>(info.st_size) + 1);
  std::size_t size = 0;
  while (true) {
    if (size == bytes.size()) bytes.resize(2 * bytes.size());
    const ssize_t count = ::read(file.get(), bytes.data() + size, bytes.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_failure("read", path, errno);
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  bytes.resize(size);
  return bytes;
}

Status write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  const auto present = status_of(path);
  if (present && is_standard_output(*present)) return write_standard_output(bytes);
  if (present && !S_ISREG(present->st_mode)) {
    return S_ISDIR(present->st_mode) ? system_failure("replace", path, EISDIR)
                                     : write_in_place(path, bytes);
  }
  if (present && ::access(path.c_str(), W_OK) != 0) return system_failure("write", path, errno);
  ENN_ASSIGN(const std::filesystem::path target, without_links(path));
  const std::filesystem::path temporary = temporary_name(target);
  ENN_ASSIGN(const int descriptor, open_temporary(temporary, target));
  Descriptor file(descriptor);
  // A file system without permissions refuses; the bytes are what counts.
  if (present) (void)::fchmod(file.get(), present->st_mode & 07777U);
  Status status = write_and_rename(file, temporary, target, bytes);
  if (!status.ok()) {
    (void)::unlink(temporary.c_str());
    return status;
  }
  sync_folder(target.has_parent_path() ? target.parent_path() : ".");
  return {};
}

Status check_writable(const std::filesystem::path& path) {
  const auto present = status_of(path);
  if (present && S_ISDIR(present->st_mode)) return system_failure("replace", path, EISDIR);
  if (present && is_standard_output(*present)) return {};
  if (present && ::access(path.c_str(), W_OK) != 0) return system_failure("write", path, errno);
  if (present && !S_ISREG(present->st_mode)) return {};
  ENN_ASSIGN(const std::filesystem::path target, without_links(path));
  const std::filesystem::path temporary = temporary_name(target);
  ENN_ASSIGN(const int descriptor, open_temporary(temporary, target));
  const Descriptor file(descriptor);
  (void)::unlink(temporary.c_str());
  return {};
}

Status write_standard_output(std::span<const std::byte> bytes) {
  return write_all(STDOUT_FILENO, bytes, "standard output");
}

bool is_same_file(const std::filesystem::path& a, const std::filesystem::path& b) {
  const auto first = status_of(a);
  const auto second = status_of(b);
  return first && second && is_same(*first, *second);
}

bool is_standard_output(const std::filesystem::path& path) {
  const auto present = status_of(path);
  return present && is_standard_output(*present);
}

}  // namespace enn
