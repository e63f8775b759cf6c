{
  hardware.deviceTree.overlays = [
    {
      name = "pwm-fan";
      dtsFile = ./fan.dts;
    }
  ];
}
