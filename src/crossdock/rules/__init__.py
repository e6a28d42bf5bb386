"""Rules: what ties a project to amd64. Each is a file; RULES lists them."""

from __future__ import annotations

from crossdock.rules.amd64_binary_in_context import Amd64BinaryInContext
from crossdock.rules.amd64_build_output import Amd64BuildOutput
from crossdock.rules.amd64_checksum import Amd64Checksum
from crossdock.rules.amd64_compiler_flag import Amd64CompilerFlag
from crossdock.rules.amd64_download import Amd64Download
from crossdock.rules.amd64_goarch import Amd64Goarch
from crossdock.rules.amd64_library_path import Amd64LibraryPath
from crossdock.rules.amd64_package_file import Amd64PackageFile
from crossdock.rules.amd64_repository import Amd64Repository
from crossdock.rules.amd64_target_triple import Amd64TargetTriple
from crossdock.rules.arch_prefixed_image import ArchPrefixedImage
from crossdock.rules.base import Rule
from crossdock.rules.base_without_arm64 import BaseWithoutArm64
from crossdock.rules.build_platform_in_final_stage import BuildPlatformInFinalStage
from crossdock.rules.builder_not_set_up import BuilderNotSetUp
from crossdock.rules.foreign_architecture import ForeignArchitecture
from crossdock.rules.frozen_architecture_variable import FrozenArchitectureVariable
from crossdock.rules.package_without_arm64 import PackageWithoutArm64
from crossdock.rules.pinned_platform import PinnedPlatform
from crossdock.rules.platforms_without_arm64 import PlatformsWithoutArm64
from crossdock.rules.shadowed_platform_argument import ShadowedPlatformArgument
from crossdock.rules.single_arch_digest import SingleArchDigest
from crossdock.rules.undeclared_platform_argument import UndeclaredPlatformArgument

RULES: tuple[type[Rule], ...] = (
    PinnedPlatform,
    BuildPlatformInFinalStage,
    BaseWithoutArm64,
    SingleArchDigest,
    ArchPrefixedImage,
    PlatformsWithoutArm64,
    BuilderNotSetUp,
    ShadowedPlatformArgument,
    UndeclaredPlatformArgument,
    FrozenArchitectureVariable,
    Amd64Download,
    Amd64Checksum,
    Amd64PackageFile,
    Amd64Repository,
    PackageWithoutArm64,
    ForeignArchitecture,
    Amd64Goarch,
    Amd64TargetTriple,
    Amd64CompilerFlag,
    Amd64BuildOutput,
    Amd64LibraryPath,
    Amd64BinaryInContext,
)
